"""The text of one page of a PDF, run by ``confined``: such files come from anywhere, and some never end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.checkpoints.errors import BadInput


def work(request: Mapping[str, Any]) -> dict[str, Any]:
    """``{"text", "pages"}`` of the ``page`` of the file at ``path``."""
    try:
        import pypdf  # noqa: PLC0415  only agents that read PDFs need it
    except ImportError:
        raise BadInput("reading PDFs needs the extra: pip install 'holdfast[documents]'") from None
    number = int(request["page"])
    pages = pypdf.PdfReader(request["path"]).pages
    if number > len(pages):
        raise BadInput(f"the file has {len(pages)} pages")
    return {"text": pages[number - 1].extract_text(), "pages": len(pages)}


if __name__ == "__main__":
    from holdfast.nodes.agent.confined import serve

    serve(work)

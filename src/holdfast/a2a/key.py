"""The API key that a client shows, and in which header."""

from __future__ import annotations

import os
import re

from holdfast.checkpoints.errors import BadInput

HEADER = "X-API-Key"
VARIABLE = "HOLDFAST_API_KEY"
_SHOWABLE = re.compile(r"[\x21-\x7e]*")


def own_key(key: str | None = None) -> str:
    """``key``, else ``HOLDFAST_API_KEY``, "" for none; raises BadInput, without it, for what no header can carry."""
    given = (os.environ.get(VARIABLE, "") if key is None else key).strip()
    if not _SHOWABLE.fullmatch(given):
        raise BadInput(f"the API key (as in {VARIABLE}) has spaces or letters that no key has; copy it again")
    return given

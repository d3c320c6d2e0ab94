"""Finding data files and judging each by its first bytes, before anything is started.

Knows paths, encodings, delimiters and headers.  Every fault is a BadInput with one sentence that names the file and
what to do.  Reading the rows themselves is left to ``reading``.
"""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.checkpoints.errors import BadInput

FORMATS = {
    ".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
HEAD_BYTES = 1 << 20
DELIMITERS = ",;\t|"
FIELD_LIMIT = 1 << 20
_MAGIC = {
    b"PK\x03\x04": "an Excel workbook or zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "compressed (gzip)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"SQLite format 3": "an SQLite database",
}
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read; for text with columns also how (``skip``: lines before the header)."""

    path: Path
    format: str  # csv (any delimiter), json or parquet
    encoding: str = "utf-8"
    delimiter: str = ","
    skip: int = 0
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()  # of csv only; the others tell theirs when they are read

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path.name


def find_files(paths: Sequence[str | Path]) -> list[Path]:
    """Each file named, each data file in a folder named, and each match of a pattern; no file twice, none opened."""
    files: dict[Path, None] = {}
    for path in paths:
        files.update(dict.fromkeys(_expand(Path(path))))
    if not files:
        raise BadInput("a market research report needs data: give a file or folder with --data")
    return list(files)


def find_sources(paths: Sequence[str | Path]) -> list[Source]:
    """How to read each of the files that the paths stand for."""
    return [inspect(path) for path in find_files(paths)]


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return [path.resolve()]
    if any(sign in str(path) for sign in "*?["):
        found = sorted(Path(name).resolve() for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if not found:
            raise BadInput(f"no file fits the pattern {path}; check it, or name the file")
        return found
    raise BadInput(f"there is no file {path}; check the path")


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(
        child.resolve()
        for child in folder.iterdir()
        if child.is_file() and child.suffix.lower() in FORMATS and not child.name.startswith(".")
    )
    if not found:
        kinds = ", ".join(sorted(FORMATS))
        raise BadInput(f"the folder {folder} has no data files; put some into it ({kinds}) or name a file")
    return found


def inspect(path: Path) -> Source:
    """How to read one file, told by its first bytes; raises BadInput if it cannot be read."""
    head = _head(path)
    if head[:4] == b"PAR1":
        return Source(path, "parquet")
    kind = FORMATS.get(path.suffix.lower())
    if kind == "parquet":
        raise BadInput(f"{path.name} is named like a Parquet file and is none; save it again or rename it")
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise BadInput(f"{path.name} is {what}; save its table as CSV and give that file")
    encoding = next((name for bom, name in _BOMS.items() if head.startswith(bom)), "utf-8")
    text = _decode_head(path, head, encoding)
    if kind == "json" or (kind is None and text.lstrip()[:1] in ("[", "{")):
        if not text.strip():
            raise BadInput(f"{path.name} is empty; give a file with a header and rows")
        return Source(path, "json", encoding)
    return _inspect_csv(path, text, encoding, whole=len(head) < HEAD_BYTES)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}; check its permissions"
        ) from None
    if not head:
        raise BadInput(f"{path.name} is empty; give a file with a header and rows")
    return head


def _decode_head(path: Path, head: bytes, encoding: str) -> str:
    if encoding != "utf-16" and (zero := head.find(b"\0")) >= 0:
        raise BadInput(
            f"{path.name} is a binary file (a zero byte at offset {zero}); give a CSV, TSV, JSON or Parquet file"
        )
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error.start, head.count(b"\n", 0, error.start) + 1, head[error.start]) from None


def not_utf8(path: Path, offset: int, line: int, byte: int) -> BadInput:
    """The sentence about a byte that is no UTF-8."""
    return BadInput(
        f"{path.name} is not UTF-8: byte 0x{byte:02x} at offset {offset} (line {line}); save it as UTF-8 and try again"
    )


def _inspect_csv(path: Path, text: str, encoding: str, *, whole: bool) -> Source:
    lines = io.StringIO(text, newline="")
    notes: list[str] = []
    skip, start = 0, 0
    for line in iter(lines.readline, ""):
        if line.startswith("#"):
            notes.append(line.lstrip("# \t").strip())
        elif line.strip():
            break
        skip, start = skip + 1, lines.tell()
    body = text[start:]
    if not body.strip():
        raise BadInput(f"{path.name} has no header and no rows; give a file with both")
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else _delimiter(body)
    rows = _first_rows(path, body, delimiter, whole=whole)
    columns = _header(path, rows[0])
    if len(rows) == 1 and whole:
        raise BadInput(f"{path.name} has a header but no rows; give a file with data below line {skip + 1}")
    _even(path, rows, len(columns), skip)
    return Source(path, "csv", encoding, delimiter, skip, tuple(note for note in notes if note), tuple(columns))


def _delimiter(body: str) -> str:
    """The delimiter that cuts the first rows into most equal pieces."""
    sample = [line for line in body[:65536].splitlines()[:50] if line.strip()]
    if len(body) > 65536:
        sample = sample[:-1] or sample

    def score(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(sample, delimiter=delimiter) if row]
        width = counts[0] if counts else 1
        return (sum(count == width for count in counts) if width > 1 else 0, width)

    return max(DELIMITERS, key=score)


def _first_rows(path: Path, body: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    """The non-empty rows of the head that are certainly complete; an unclosed quote is a fault."""
    csv.field_size_limit(FIELD_LIMIT)
    rows: list[list[str]] = []
    try:
        rows.extend(csv.reader(io.StringIO(body, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise BadInput(f"{path.name} cannot be read as a table near row {len(rows) + 1}: {error}") from None
    if not whole and len(rows) > 1:
        rows.pop()  # may be cut off
    return rows


def _header(path: Path, names: list[str]) -> list[str]:
    columns = [name.strip() for name in names]
    for number, name in enumerate(columns, 1):
        if not name:
            raise BadInput(f"column {number} of {path.name} has no name; name it in the header")
    seen: dict[str, int] = {}
    for number, name in enumerate(columns, 1):
        if first := seen.get(name.casefold()):
            raise BadInput(f"columns {first} and {number} of {path.name} are both named {name!r}; rename one of them")
        seen[name.casefold()] = number
    return columns


def _even(path: Path, rows: list[list[str]], width: int, skip: int) -> None:
    """Raises BadInput for the first row that has more or fewer cells than the header; empty lines do not count."""
    line = skip + 1
    for row in rows:
        if row and len(row) != width:
            raise ragged(path, line, width, len(row))
        line += 1 + sum(cell.count("\n") for cell in row)


def ragged(path: Path, line: int, expected: int, found: int) -> BadInput:
    """The sentence about a row that does not fit the header."""
    return BadInput(
        f"line {line} of {path.name} has {found} {'cell' if found == 1 else 'cells'} where the header has {expected}; "
        "correct that line"
    )


def first_ragged(source: Source) -> BadInput | None:
    """The fault of the first uneven row of a whole file, read row by row; only for saying what DuckDB stumbled on."""
    width, line = len(source.columns), 1
    with source.path.open(encoding=source.encoding, newline="", errors="replace") as file:
        for _ in range(source.skip):
            file.readline()
            line += 1
        for row in csv.reader(file, delimiter=source.delimiter):
            if row and len(row) != width:
                return ragged(source.path, line, width, len(row))
            line += 1 + sum(cell.count("\n") for cell in row)
    return None


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What identifies a file's content."""

    sha256: str
    bytes: int
    lines: int


def fingerprint(source: Source) -> Fingerprint:
    """Hash, size and line count in one pass; checks the encoding of text on the way."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder(source.encoding)() if source.format != "parquet" else None
    size = lines = 0
    with source.path.open("rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
            if decoder:
                pending = len(decoder.getstate()[0])
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    at = max(error.start - pending, 0)
                    raise not_utf8(
                        source.path,
                        size + error.start - pending,
                        lines + chunk.count(b"\n", 0, at) + 1,
                        error.object[error.start],
                    ) from None
            size, lines = size + len(chunk), lines + chunk.count(b"\n")
    return Fingerprint(digest.hexdigest(), size, lines)


def _chunks(file: io.BufferedReader) -> Iterable[bytes]:
    return iter(lambda: file.read(1 << 22), b"")

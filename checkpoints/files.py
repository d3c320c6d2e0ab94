"""Files by content: each stored once under its sha256, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from holdfast.checkpoints.errors import DataCorrupt, StoreError

CHUNK = 1 << 20
_HASH = re.compile("[0-9a-f]{64}")


class Files:
    """A folder of read-only files named by their hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sound: dict[str, tuple[int, int]] = {}  # size and time of those whose content was checked

    def put(self, data: bytes | Path) -> tuple[str, int]:
        """Stores bytes or a copy of a file, durably; returns (sha256 in hex, size in bytes)."""
        digest, size = _digest(data)
        path = self._path(digest)
        if path.exists() and path.stat().st_size == size:
            os.utime(path)  # in use again: `prune` leaves young files alone
        else:
            write_whole(path, data)
        return digest, size

    def all(self) -> list[Path]:
        """Every stored file."""
        return sorted(self.folder.glob("??/" + "[0-9a-f]" * 64)) if self.folder.is_dir() else []

    def path(self, sha256: str) -> Path:
        """Where that content lies; raises DataCorrupt if it is gone, or is not what its hash says.

        The content is read once per process, and again if the file was touched since.
        """
        path = self._path(sha256)
        try:
            stat = path.stat()
        except OSError:
            raise DataCorrupt(
                f"the stored file {path} is missing; restore it from a copy of the database's folder"
            ) from None
        if self._sound.get(sha256) != (stat.st_size, stat.st_mtime_ns):
            if _digest(path)[0] != sha256:
                raise DataCorrupt(
                    f"the stored file {path} was changed; restore it from a copy of the database's folder"
                )
            self._sound[sha256] = (stat.st_size, stat.st_mtime_ns)
        return path

    def _path(self, sha256: str) -> Path:
        if not _HASH.fullmatch(sha256):
            raise DataCorrupt(f"{sha256!r} is not the hash of a stored file")
        return self.folder / sha256[:2] / sha256


def write_whole(path: Path, data: bytes | Path) -> None:
    """Writes a file so that ``path`` has all of it or is as before: draft, fsync, rename, fsync of the folder."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as target:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, target, CHUNK)
            else:
                target.write(data)
            target.flush()
            os.fsync(target.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror or error}; nothing was left behind") from None


def _digest(data: bytes | Path) -> tuple[str, int]:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    digest, size = hashlib.sha256(), 0
    with data.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size

"""Files by content: each stored once under its sha256, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from holdfast.checkpoints.errors import BadInput, DataCorrupt, StoreError

CHUNK = 1 << 20
LONGEST_NAME = 255  # bytes
PLACE = frozenset(  # faults of a path that somebody chose; all others are of the disk
    {
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EINVAL,
        errno.ELOOP,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
    }
)
_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{8}", re.DOTALL)
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

    def drafts(self) -> list[Path]:
        """What is being written, or was left half-written by a process that was killed."""
        drafts = self.folder.glob("??/.*") if self.folder.is_dir() else []
        return sorted(path for path in drafts if _HASH.fullmatch(drafted(path) or ""))

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


def hand_out(folder: Path, name: str, data: bytes | Path) -> Path:
    """Writes a file of that name below a folder; returns its path.

    Raises BadInput if the place that name and folder stand for cannot be written, StoreError for a fault of the disk.
    """
    path = folder / name
    try:
        _write_whole(path, data)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in PLACE:
            raise BadInput(
                f"the artifact {name[:100]!r} cannot be written to {folder}: {reason.lower()}; "
                "choose another name or output folder"
            ) from None
        raise StoreError(f"{path} cannot be written: {reason}; nothing was left behind") from None
    return path


def write_whole(path: Path, data: bytes | Path) -> None:
    """Writes a file so that ``path`` has all of it or is as before; raises StoreError."""
    try:
        _write_whole(path, data)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}; nothing was left behind") from None


def drafted(path: Path) -> str | None:
    """The name of the file that ``path`` is a draft of, or None if it is none of ours."""
    match = _DRAFT.fullmatch(path.name)
    return match[1] if match else None


def draft_name(name: str) -> str:
    """A file's name as its drafts carry it: all of it unless the draft's own name would be too long."""
    return os.fsdecode(os.fsencode(name)[: LONGEST_NAME - 10])


def _write_whole(path: Path, data: bytes | Path) -> None:
    """Draft, fsync, rename, fsync of the folder; removes the draft and raises OSError if that cannot be done."""
    draft = path.with_name(f".{draft_name(path.name)}.{uuid.uuid4().hex[:8]}")
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
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def _digest(data: bytes | Path) -> tuple[str, int]:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    digest, size = hashlib.sha256(), 0
    with data.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size

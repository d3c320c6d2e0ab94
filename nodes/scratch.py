"""A folder for as long as a body works, made and removed off the event loop."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def scratch_folder() -> AsyncIterator[Path]:
    """An empty folder that is removed at the end, with what is in it."""
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="holdfast-")
    try:
        yield Path(folder.name)
    finally:
        await asyncio.to_thread(folder.cleanup)

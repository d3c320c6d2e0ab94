"""Settings from ``HOLDFAST_*`` variables and ``holdfast.toml``; what is given in code wins, then the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.models.settings import ModelSettings, missing, read

FILE = "holdfast.toml"
DEFAULT_DATABASE = ".holdfast/holdfast.db"


def database_path(given: str | Path | None) -> Path:
    """The database's path: as given, else ``HOLDFAST_DB``, else ``.holdfast/holdfast.db``; absolute."""
    return Path(given or setting("db") or DEFAULT_DATABASE).expanduser().absolute()


def type_modules(given: list[str] | tuple[str, ...] = ()) -> list[str]:
    """Modules or files that register task types: as given, else ``HOLDFAST_TYPES`` (comma-separated), else the file."""
    if given:
        return list(given)
    value = setting("types") or []
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)


def pause_resume_on() -> bool:
    """Whether a person may pause tasks and resume paused ones here: the setting ``pause_resume``, on by default."""
    value = setting("pause_resume")
    return value is None or str(value).lower() not in ("off", "false", "0", "no")


def model() -> ModelSettings | None:
    """The model that is set, or None for the built-in engine; raises BadInput for a setting that cannot be used."""
    return read(os.environ, _file())


def model_missing() -> str | None:
    """What is not set for a model to be used, if half of it is."""
    return missing(os.environ, _file())


def setting(name: str) -> Any:
    """One setting, or None; raises BadInput if ``holdfast.toml`` cannot be read."""
    if value := os.environ.get(f"HOLDFAST_{name.upper()}"):
        return value
    return _file().get(name)


def _file() -> dict[str, Any]:
    try:
        content = tomllib.loads(Path(FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{FILE} cannot be read: {error}") from None
    section = content.get("holdfast", {})
    return section if isinstance(section, dict) else {}

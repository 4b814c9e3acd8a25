"""Variables that look like settings and are none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from bot.config.settings import Settings


def unknown_settings(env_file: str | Path = ".env") -> tuple[str, ...]:
    """One line for each `BOBBIN_…` variable that no setting has, with the nearest one that exists."""
    known = [name.upper() for name in Settings.model_fields]
    set_here = {name.upper() for name in (*os.environ, *_names_in(Path(env_file)))}
    return tuple(
        _unknown(name, known)
        for name in sorted(set_here)
        if name.startswith("BOBBIN_") and name not in known
    )


def _names_in(env_file: Path) -> Iterable[str]:
    return dotenv_values(env_file, interpolate=False) if env_file.is_file() else ()


def _unknown(name: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    advice = f"did you mean {nearest[0]}?" if nearest else "README lists the settings"
    return f"{name} is not a setting and has no effect; {advice}"

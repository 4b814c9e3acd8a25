"""Finds variables that look like settings but are not."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from bot.config.further_providers import variables_of
from bot.config.settings import Settings
from bot.config.sources import set_variables

_SIMILAR = 0.8
"""From this similarity on, a name is taken for a misspelt variable of a provider; other programs may use similar names.
"""


def unknown_settings(env_file: str | Path = ".env") -> tuple[str, ...]:
    """One line for each variable that is not a setting, with the nearest one that is.

    These are all that begin with `BOBBIN_`, and misspelt variables of the providers in BOBBIN_PROVIDERS.
    """
    variables = set_variables(env_file)
    known = [name.upper() for name in Settings.model_fields]
    further = variables.get("BOBBIN_PROVIDERS", "").replace(",", " ").split()
    known_of_further = [variable for name in further for variable in variables_of(name)]
    begin = tuple(name.upper() for name in further)
    hints = (
        _misspelt(name, known_of_further) if name.startswith(begin) else _unknown(name, known)
        for name in sorted(variables)
    )
    return tuple(hint for hint in hints if hint)


def _unknown(name: str, known: Sequence[str]) -> str:
    if not name.startswith("BOBBIN_") or name in known:
        return ""
    nearest = get_close_matches(name, known, n=1)
    return _hint(name, f"did you mean {nearest[0]}?" if nearest else "README lists the settings")


def _misspelt(name: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(name, known, n=1, cutoff=_SIMILAR)
    return _hint(name, f"did you mean {nearest[0]}?") if nearest and name not in known else ""


def _hint(name: str, advice: str) -> str:
    return f"{name} is not a setting and has no effect; {advice}"

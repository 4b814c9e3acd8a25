"""Finds variables that look like settings but are not, and settings that the file sets twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from bot.config.env_file import all_variables, file_variables
from bot.config.env_file_checks import repeated_settings
from bot.config.further_providers import variables_of
from bot.config.settings import Settings

_SIMILAR = 0.8
"""From this similarity on, a name counts as misspelt, if other programs may have variables with similar names."""
_OURS = ("BOBBIN_",)
"""Prefixes that no other program's variables have."""
_OF_OTHERS = {
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "GOOGLE_API_KEY": "GEMINI_API_KEY",
    "OLLAMA_HOST": "OLLAMA_BASE_URL",
    "SLACK_TOKEN": "SLACK_BOT_TOKEN",
}
"""Names that other programs use for the same thing."""


def suspicious_settings(env_file: str | Path = ".env") -> tuple[str, ...]:
    """One line for each variable that is not a setting, with the nearest one that is, and for each set twice.

    From the environment these are all that begin with `BOBBIN_`, and misspelt ones of Slack's and of the providers in
    BOBBIN_PROVIDERS; from the file, which belongs to Bobbin, all misspelt ones. One that resembles a
    setting which is set, too, is another program's.
    """
    variables, in_file = all_variables(env_file), file_variables(env_file)
    known = [name.upper() for name in Settings.model_fields]
    further = variables.get("BOBBIN_PROVIDERS", "").replace(",", " ").split()
    known_of_further = [variable for name in further for variable in variables_of(name)]
    theirs = tuple(name.upper() for name in further)
    unknown = [name for name in sorted(variables) if name not in (*known, *known_of_further)]
    return (
        *_hints(unknown, variables, in_file, theirs, [*known, *known_of_further]),
        *repeated_settings(env_file, (*known, *known_of_further)),
    )


def _hints(
    unknown: Sequence[str],
    settings: Collection[str],
    in_file: Collection[str],
    theirs: tuple[str, ...],
    known: Sequence[str],
) -> Iterator[str]:
    for name in unknown:
        if name.startswith(_OURS):
            nearest = get_close_matches(name, known, n=1)
            yield _hint(
                name, f"did you mean {nearest[0]}?" if nearest else "README lists the settings"
            )
        elif name in in_file or name.startswith((*theirs, "SLACK_")):
            meant = _meant(name, known)
            is_others = meant in settings and not name.startswith(theirs)
            if meant is not None and not is_others:
                yield _hint(name, f"did you mean {meant}?")


def _meant(name: str, known: Sequence[str]) -> str | None:
    """The setting that the name probably means, however its words are joined."""
    if name in _OF_OTHERS:
        return _OF_OTHERS[name]
    nearest = get_close_matches(name.replace("-", "_"), known, n=1, cutoff=_SIMILAR)
    return nearest[0] if nearest else None


def _hint(name: str, advice: str) -> str:
    return f"{name} is not a setting and has no effect; {advice}"

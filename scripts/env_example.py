"""Prints `.env.example`: every setting with its meaning and default, commented out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from bot.config.chats import DEFAULT_SYSTEM_PROMPT
from bot.config.settings import Settings

HEAD = """\
# Bobbin's settings. Copy this file to .env, remove the # before what you need, and fill it in.
# Variables of the environment win over this file. `bobbin doctor` checks the result.
"""


def main() -> None:
    print(HEAD)
    print(
        "\n\n".join("\n".join(_entry(name, field)) for name, field in Settings.model_fields.items())
    )


def _entry(name: str, field: FieldInfo) -> Iterator[str]:
    meaning = re.sub(r"`([^`]+)`|\[([^]]+)\]\([^)]+\)", r"\1\2", field.description or "")
    yield from textwrap.wrap(
        meaning, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    yield f"#{name.upper()}={_shown(field.default)}"


def _shown(default: Any) -> str:
    """The default as one would write it; nothing where there is none or it is a paragraph."""
    return "" if default in (None, (), DEFAULT_SYSTEM_PROMPT) else str(default)


if __name__ == "__main__":
    main()

"""The translations, from gettext catalogues (`de.po` and so on), and number and date formats.

Babel is loaded with the first language that is not English, so a workspace of English speakers never pays for it.
"""

from __future__ import annotations

import asyncio
from datetime import date
from functools import cache
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

from bot.languages.language import Language

FOLDER = Path(__file__).parent


@cache
def catalogue(language: Language) -> GNUTranslations:
    """The translations of a language other than English."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with (FOLDER / f"{language}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


_ready = {Language.ENGLISH}


async def make_ready(language: Language) -> Language:
    """Loads a catalogue in a thread, because reading it would block the event loop for a tenth of a second.

    Returns immediately if it is already loaded.
    """
    if language not in _ready:
        await asyncio.to_thread(_load, language)
        _ready.add(language)
    return language


def _load(language: Language) -> None:
    catalogue(language)
    number(1.5, "#,##0.0", language)


def number(value: float, pattern: str, language: Language) -> str:
    """Formats a number with a Unicode number pattern, such as `#,##0.0`."""
    from babel.numbers import format_decimal

    return format_decimal(value, format=pattern, locale=str(language))


def long_date(day: date, language: Language) -> str:
    """A date with the month in words."""
    if language is Language.ENGLISH:
        return f"{day.day} {day:%B %Y}"
    from babel.dates import format_date

    return format_date(day, format="long", locale=str(language))

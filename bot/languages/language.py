"""Which language is spoken: English, or that of the person whom a text is for.

The one who makes a text for a person says so with `speaking`: the door of Slack for everything private (the person
who acts), and whatever draws a message that all of a thread read (the person who started its chat). What nobody has
said a language for is English: the API, the command line, and what models are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum


class Language(StrEnum):
    """The languages that have a catalogue, and English, in which the texts are written."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"
    JAPANESE = "ja"


def language_of(locale: str | None) -> Language:
    """The language of a Slack locale such as `de-DE`; English for None and for languages without a catalogue."""
    name = (locale or "").partition("-")[0].lower()
    return Language(name) if name in set(Language) else Language.ENGLISH


_spoken: ContextVar[Language] = ContextVar("language", default=Language.ENGLISH)


def spoken() -> Language:
    """The language in which texts are read here."""
    return _spoken.get()


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Inside, and in tasks that are started inside, texts are read in this language."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)

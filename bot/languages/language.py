"""The current language: English, or the language of the person who reads a text.

Code that makes a text sets the reader's language with `using_language`: Slack's entry points for private messages (the
acting person), and code that renders a message for a whole thread (the owner of its chat). Without `using_language` the
language is English: in the API, on the command line, and in prompts.
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


_current: ContextVar[Language] = ContextVar("language", default=Language.ENGLISH)


def current_language() -> Language:
    """The current language, in which texts are read."""
    return _current.get()


@contextmanager
def using_language(language: Language) -> Iterator[None]:
    """Sets the language inside the block, and in tasks started inside it."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)

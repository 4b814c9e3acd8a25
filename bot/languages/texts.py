"""Modules of texts that are read in the current language.

Such a module (`bot.strings`) contains English constants with names in capitals. Reading one as an attribute of the
module returns its translation. A text that is read while a module is imported, or in a parameter's default, would stay
English: a test forbids both.
"""

from __future__ import annotations

import string
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from bot.languages import catalogues
from bot.languages.language import Language, current_language


@dataclass(frozen=True, slots=True)
class Plural:
    """A text that depends on a number: English has a form for one and a form for many, other languages may have more.

    Either form may contain `{count}`.
    """

    one: str
    many: str

    def format(self, *, count: int, **values: object) -> str:
        language = current_language()
        if language is Language.ENGLISH:
            return (self.one if count == 1 else self.many).format(count=count, **values)
        form = catalogues.catalogue(language).ngettext(self.one, self.many, count)
        return _LocalFormatter().format(form, count=count, **values)


def translatable(module: str) -> None:
    """Turns the module of this name into a module of texts."""
    sys.modules[module].__class__ = _TextModule


def translated(value: Any) -> Any:
    """A text, or a collection of texts, in the current language. Keys of a dict are not texts."""
    language = current_language()
    if language is Language.ENGLISH:
        return value
    match value:
        case str():
            return _Translated(catalogues.catalogue(language).gettext(value))
        case dict():
            return {key: translated(text) for key, text in value.items()}
        case tuple():
            return tuple(map(translated, value))
    return value


def number(value: int) -> str:
    """A whole number with thousands separators."""
    return _LocalFormatter().format("{0:,}", value)


class _TextModule(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return translated(value) if name.isupper() else value


class _Translated(str):
    """A text whose numbers are formatted in its language."""

    __slots__ = ()

    def format(self, *args: object, **values: object) -> str:
        return _LocalFormatter().format(self, *args, **values)


class _LocalFormatter(string.Formatter):
    """`str.format` with numbers in the current language, for the formats `,` and `.2f`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        language = current_language()
        if not format_spec or language is Language.ENGLISH:
            return str(super().format_field(value, format_spec))
        whole, _, decimals = format_spec.removesuffix("f").partition(".")
        pattern = "#,##0" if whole == "," else "0"
        places = f".{'0' * int(decimals)}" if decimals else ""
        return catalogues.number(value, f"{pattern}{places}", language)

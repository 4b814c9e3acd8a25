"""Updates the catalogues in bot/languages from the texts: new texts come in untranslated, unused ones go."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

from bot.languages.catalogues import FOLDER
from bot.languages.language import Language
from bot.languages.texts import Plural

ROOT = Path(__file__).parents[1]
Text = str | Plural


def modules() -> list[str]:
    """The modules of texts: `strings.py` in any folder of `bot`, or a package of that name."""
    files = [path.with_suffix("") for path in (ROOT / "bot").rglob("strings.py")]
    packages = [path.parent for path in (ROOT / "bot").rglob("strings/__init__.py")]
    return sorted(".".join(path.relative_to(ROOT).parts) for path in (*files, *packages))


def texts() -> Iterator[tuple[str, Text]]:
    """The name and the English of each text; those in a collection with their key or position."""
    for module in modules():
        for name, value in vars(import_module(module)).items():
            if name.isupper():
                yield from _texts_in(name, value)


def _texts_in(name: str, value: Any) -> Iterator[tuple[str, Text]]:
    if isinstance(value, str | Plural):
        yield name, value
    elif isinstance(value, dict | tuple):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from _texts_in(f"{name}.{key}", value[key])


def template() -> Catalog:
    """All texts, each with its names as a comment for translators."""
    catalog = Catalog(charset="utf-8")
    for name, text in texts():
        id = (text.one, text.many) if isinstance(text, Plural) else text
        catalog.add(
            id, auto_comments=[name], flags={"python-brace-format"} if "{" in f"{id}" else ()
        )
    return catalog


def read(language: Language) -> Catalog:
    path = FOLDER / f"{language}.po"
    if not path.exists():
        return Catalog(locale=language, charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def written(catalog: Catalog) -> bytes:
    """As a file, without a header that changes from day to day."""
    file = BytesIO()
    write_po(file, catalog, width=100, omit_header=True, ignore_obsolete=True)
    header = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    return f'{header}"Plural-Forms: {catalog.plural_forms}\\n"\n\n'.encode() + file.getvalue()


def updated(language: Language) -> Catalog:
    """With the texts of today. Those that it has keep their places, so that a diff shows nothing but changes."""
    catalog = read(language)
    places = {str(message.id): place for place, message in enumerate(catalog)}
    today = Catalog(charset="utf-8")
    for message in sorted(template(), key=lambda text: places.get(str(text.id), len(places))):
        today[message.id] = message
    catalog.update(today, no_fuzzy_matching=True)
    return catalog


def main() -> None:
    for language in Language:
        if language is not Language.ENGLISH:
            catalog = updated(language)
            (FOLDER / f"{language}.po").write_bytes(written(catalog))
            missing = [message.id for message in catalog if message.id and not is_complete(message)]
            print(
                f"{language}: {len(catalog)} texts, {len(missing)} to translate",
                *missing,
                sep="\n  ",
            )


def is_complete(message: Message) -> bool:
    """Whether it is translated, in all of its forms."""
    string = message.string
    return all(string) if isinstance(string, tuple | list) else bool(string)


if __name__ == "__main__":
    main()

"""The catalogues are complete, and each translation says what the English text does, with the same parts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Message

from bot import strings
from bot.languages.catalogues import FOLDER, long_date
from bot.languages.language import Language, language_of, using_language
from scripts.texts import is_complete, modules, read, texts, updated, written

ROOT = Path(__file__).parents[2]
OTHERS = [language for language in Language if language is not Language.ENGLISH]
PRODUCT = [
    path for folder in ("bot", "handlers", "storage") for path in (ROOT / folder).rglob("*.py")
]
CODE_OR_LINK = re.compile(r"```.*?```|`[^`]+`|<[^>]+>", re.DOTALL)
LABEL = re.compile(r"\|[^{>]+>")
OWN_WORDS = re.compile(r" ([^\W\d_a-z]{2,}|テキスト)`$")
"""What stands for somebody's own words at the end of code, such as `/chats WORDS`."""
LIMITS = {
    "DIALOG_TITLE": 24,
    "DIALOG_TITLE_ABOUT": 24,
    "DIALOG_START": 24,
    "DIALOG_ASK": 24,
    "ASK_ANOTHER": 75,
}
"""Slack's limits, in characters, of texts that reach their element by way of a variable."""


@pytest.fixture(params=OTHERS)
def language(request: pytest.FixtureRequest) -> Language:
    return Language(request.param)


def test_a_catalogue_has_each_text_and_no_other(language: Language) -> None:
    """Otherwise: `make texts`, then translate what is empty."""
    assert (FOLDER / f"{language}.po").read_bytes() == written(updated(language))
    messages = [message for message in read(language) if message.id]
    assert [message.id for message in messages if not is_complete(message)] == []
    assert [message.id for message in messages if message.fuzzy] == []


def test_each_form_has_the_parts_of_the_english_text(language: Language) -> None:
    catalog = read(language)
    for message in catalog:
        if not message.id:
            continue
        forms = forms_of(message)
        assert len(forms) == (catalog.num_plurals if message.pluralizable else 1), message.id
        for form in forms:
            assert fields(form) == fields(english(message)), message.id
            assert marks(form) == marks(english(message)), message.id


def english(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[-1]


def forms_of(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def fields(text: str) -> set[tuple[str, str]]:
    """The parts in braces. The number of a text with several forms may be in words."""
    found = {(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None}
    return found - {("count", "")}


def marks(text: str) -> tuple[set[str], bool, bool, int]:
    """What Slack reads as code, links and mentions, and whether there is bold text, lists and lines."""
    code = {LABEL.sub("|…>", mark) for mark in CODE_OR_LINK.findall(text)}
    code = {mark for mark in code if not OWN_WORDS.search(mark)}
    return code, "*" in text, "•" in text, text.count("\n")


def test_no_translation_is_cut(language: Language) -> None:
    limits = LIMITS | limits_in_code()
    assert limits["RETRY_BUTTON"] == 75
    assert limits["RENAME_TITLE"] == 24
    with using_language(language):
        lengths = {name: len(getattr(strings, name)) for name in limits}
    assert {name: length for name, length in lengths.items() if length > limits[name]} == {}


@cache
def limits_in_code() -> dict[str, int]:
    """Each `button(strings.NAME)` and `plain_text(strings.NAME, 24)`."""
    found = {}
    for path in (ROOT / "handlers").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            function, text = name_of(call.func).split(".")[-1], name_of(call.args[0])
            if function in ("button", "plain_text") and (
                name := re.fullmatch(r"strings\.(\w+)", text)
            ):
                limit = call.args[1] if function == "plain_text" and len(call.args) > 1 else None
                found[name[1]] = int(limit.value) if isinstance(limit, ast.Constant) else 75  # type: ignore[arg-type]
    return found


def name_of(node: ast.AST) -> str:
    """A name with dots; of anything longer nothing, since writing all of the code again takes seconds."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return ""


def test_texts_are_looked_up_when_they_are_used() -> None:
    """A text read at import would be English for everybody."""
    found = []
    past = tuple(f"{module}." for module in modules())
    for path in PRODUCT:
        if "strings" not in (source := path.read_text("utf-8")):
            continue
        tree = ast.parse(source)
        names = [] if path.parent.name == "strings" else imported_past_the_language(tree, past)
        found += [f"{path.name}: {each}" for each in (*names, *read_at_import(tree))]
    assert found == []


def imported_past_the_language(tree: ast.AST, past: tuple[str, ...]) -> list[str]:
    """Imports of single texts, or of the module of one subject, instead of the module that translates."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(past)
    ]


def read_at_import(node: ast.AST) -> Iterator[str]:
    """The texts that are read outside of functions, or as parameters' defaults."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for default in (*node.args.defaults, *node.args.kw_defaults):
            yield from read_at_import(default) if default is not None else ()
        return
    if re.fullmatch(r"(\w+_)?strings\.[A-Z_]+", name := name_of(node)):
        if not name.startswith("english_"):
            yield name
        return
    for child in ast.iter_child_nodes(node):
        yield from read_at_import(child)


def test_english_texts_are_none_but_the_constants() -> None:
    """No text is built from another when its module is imported."""
    assert len({name for name, _ in texts()}) == len(list(texts()))
    with using_language(Language.ENGLISH):
        assert (strings.RETRY_BUTTON, strings.TOKENS.format(count=1234)) == (
            "Retry",
            "1,234 tokens",
        )
        assert strings.MESSAGES_LEFT.format(count=1) == "1 message left"


@pytest.mark.parametrize(
    ("language", "tokens", "seconds", "day"),
    [
        (Language.ENGLISH, "1,234 tokens", "2.5 s", "1 December 2026"),
        (Language.GERMAN, "1.234 Tokens", "2,5 s", "1. Dezember 2026"),
        (Language.FRENCH, "1\u202f234 jetons", "2,5 s", "1 décembre 2026"),
        (Language.SPANISH, "1.234 tokens", "2,5 s", "1 de diciembre de 2026"),
        (Language.JAPANESE, "1,234トークン", "2.5秒", "2026年12月1日"),
    ],
)
def test_numbers_and_dates_are_written_as_the_language_does(
    language: Language, tokens: str, seconds: str, day: str
) -> None:
    with using_language(language):
        assert strings.TOKENS.format(count=1234) == tokens
        assert strings.SECONDS.format(seconds=2.46) == seconds
    assert long_date(date(2026, 12, 1), language) == day


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de-DE", "de"),
        ("fr-CA", "fr"),
        ("es-LA", "es"),
        ("ja-JP", "ja"),
        ("en-GB", "en"),
        ("ko-KR", "en"),
        (None, "en"),
    ],
)
def test_a_locale_without_a_catalogue_means_english(locale: str | None, language: str) -> None:
    assert language_of(locale) == language

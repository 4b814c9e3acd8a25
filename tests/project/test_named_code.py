"""Documents, docstrings and comments only name existing files, modules and definitions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FOLDERS = ("bot", "handlers", "storage", "scripts", "tests")
CODE = sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)
)
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)}|docs)/[\w./-]*)`")
DOTTED = re.compile(rf"`((?:{'|'.join(FOLDERS)})(?:\.\w+)+)`")
CLASS = re.compile(r"`([A-Z][a-z]+[A-Z]\w*)(?:\.\w+)*`")
ELSEWHERE = {"AsyncApp", "AsyncWebClient", "LookupError"}
"""Classes of libraries and of Python."""
ABOUT_THE_CODE = [
    ROOT / "ARCHITECTURE.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("glossary", "why")),
]


@cache
def words(place: Path) -> frozenset[str]:
    """Every name that a module, or those of a package, define or mention."""
    modules = place.glob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    return frozenset(
        name for module in modules for name in re.findall(r"\w+", module.read_text("utf-8"))
    )


@cache
def classes() -> frozenset[str]:
    return frozenset(
        node.name
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )


def unknown_in(text: str) -> Iterator[str]:
    """The paths and dotted names in a text that do not exist."""
    yield from (path for path in PATH.findall(text) if not (ROOT / path).exists())
    yield from (name for name in DOTTED.findall(text) if not exists(name))


def exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        if place.is_dir() or place.with_suffix(".py").exists():
            return set(parts[length:]) <= words(place)
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_name_what_exists(page: Path) -> None:
    """A renamed module leaves no trace. The changelog may name what used to exist."""
    if page.name != "CHANGELOG.md":
        assert list(unknown_in(page.read_text("utf-8"))) == []


@pytest.mark.parametrize("page", ABOUT_THE_CODE, ids=lambda page: page.name)
def test_documents_name_classes_that_exist(page: Path) -> None:
    assert set(CLASS.findall(page.read_text("utf-8"))) <= classes() | ELSEWHERE


def test_code_names_what_exists() -> None:
    """In docstrings and comments."""
    found = {path: list(unknown_in(path.read_text("utf-8"))) for path in CODE}
    assert {str(path.relative_to(ROOT)): names for path, names in found.items() if names} == {}


def test_the_names_are_found() -> None:
    text = "`bot/nowhere.py`, `bot.nowhere`, `bot.domain.Nobody`, `bot/errors.py` and `bot.domain.Chat`"
    assert list(unknown_in(text)) == ["bot/nowhere.py", "bot.nowhere", "bot.domain.Nobody"]

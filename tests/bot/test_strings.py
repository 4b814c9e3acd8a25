"""All texts that people read are in bot/strings and follow one style."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import strings

ROOT = Path(__file__).parents[2]
FOR_OPERATORS = {ROOT / "handlers" / "client" / "diagnostics.py", ROOT / "handlers" / "transport"}
"""Their texts are for operators, who read them in a terminal, in a log or in a browser while they install the app."""
MODULES = sorted(
    path for path in (ROOT / "handlers").rglob("*.py") if not FOR_OPERATORS & {path, path.parent}
)
PHRASE = re.compile(r"[A-Za-z]{2,}[ ,] ?[a-z]{2,}| (ago|tokens?|messages?)$")


def is_internal(node: ast.AST) -> bool:
    """Whether the texts below this node are logs, errors, names of tasks, members of enums, or only compared."""
    if isinstance(node, ast.ClassDef):
        return any(ast.unparse(base) == "StrEnum" for base in node.bases)
    if isinstance(node, ast.keyword):
        return node.arg == "name"
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Raise | ast.Compare | ast.MatchValue)
    called = ast.unparse(node.func)
    return called.startswith("log.") or called.endswith((".at_most_every", "super().__init__"))


def visible_texts(tree: ast.AST) -> Iterator[str]:
    """The texts that a person could read: neither docstrings nor internal ones."""
    internal: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            internal.add(id(node.value))
        elif is_internal(node):
            internal |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in internal
        ):
            yield node.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_of_handlers_has_texts_of_its_own(path: Path) -> None:
    found = [
        text for text in visible_texts(ast.parse(path.read_text("utf-8"))) if PHRASE.search(text)
    ]
    assert found == []


def texts() -> Iterator[str]:
    for name, value in vars(strings).items():
        if name.isupper():
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from value.values()


@pytest.mark.parametrize("text", sorted(texts()))
def test_every_text_is_short_and_free_of_technical_words(text: str) -> None:
    assert len(text) <= 600
    assert not re.search(
        r"\b(error|exception|invalid|null|payload|request failed|oops|sorry)\b|!(\s|$)", text, re.I
    )

"""What people read stands in one module, in one voice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import strings

ROOT = Path(__file__).parents[2]
FOR_OPERATORS = {"diagnostics.py", "oauth.py"}
"""What these say is read in a terminal, or tried by hand in a browser before there is any person."""
SURFACES = sorted(
    path for path in (ROOT / "handlers").rglob("*.py") if path.name not in FOR_OPERATORS
)
SPEECH = re.compile(r"[A-Za-z]{2,}[ ,] ?[a-z]{2,}| (ago|tokens?|messages?)$")


def inward(node: ast.AST) -> bool:
    """Logs, errors, names of tasks and of things that happen, and what is only compared."""
    if isinstance(node, ast.keyword):
        return node.arg == "name"
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Raise | ast.Compare)
    called = ast.unparse(node.func)
    return called.startswith("log.") or called.endswith((".at_most_every", "super().__init__"))


def spoken(tree: ast.AST) -> Iterator[str]:
    """Texts that could be read by somebody: no docstrings, and nothing that stays inside."""
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(id(node.value))
        elif inward(node):
            silent |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in silent
        ):
            yield node.value


@pytest.mark.parametrize("path", SURFACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_surface_has_words_of_its_own(path: Path) -> None:
    found = [text for text in spoken(ast.parse(path.read_text("utf-8"))) if SPEECH.search(text)]
    assert found == []


def texts() -> Iterator[str]:
    for name, value in vars(strings).items():
        if name.isupper():
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from value.values()


@pytest.mark.parametrize("text", sorted(texts()))
def test_every_text_is_in_one_voice(text: str) -> None:
    """Short, kind, and without the words of those who build it."""
    assert len(text) <= 600
    assert not re.search(
        r"\b(error|exception|invalid|null|payload|request failed|oops|sorry)\b|!(\s|$)", text, re.I
    )

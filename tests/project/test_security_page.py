"""docs/security.md names only code and tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
CODE = sorted(set(re.findall(r"`((?:bot|handlers|storage)/[\w/.]+)(?::(\w+))?`", PAGE)))


@cache
def names(path: Path) -> frozenset[str]:
    """What a module defines at its top."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_named_tests_exist(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in names(ROOT / path)


@pytest.mark.parametrize(("path", "name"), CODE)
def test_named_code_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file()
    if name:
        assert name in names(ROOT / path)


def test_every_threat_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 4]
    threats = [
        row for row in rows if "proven by" not in row and "| can |" not in row and "---" not in row
    ]
    start = PAGE.index("## What models and people write")
    unproven = [row for row in threats if PAGE.index(row) > start and "::test_" not in row]
    assert unproven == []
    assert len(TESTS) >= 35

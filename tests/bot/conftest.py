"""Fixtures for tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.program import Bobbin, Program


@pytest.fixture(scope="session")
def program() -> Iterator[Program]:
    """Where commands of `bobbin` run; one for all tests, since importing everything is what takes long."""
    opened = Program()
    yield opened
    opened.close()


@pytest.fixture
def bobbin(program: Program, tmp_path: Path) -> Bobbin:
    """The program in an empty folder."""
    return Bobbin(program, tmp_path)

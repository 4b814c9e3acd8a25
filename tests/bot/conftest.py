"""Fixtures for tests of the command line and of the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.config.settings import Settings
from tests.bot.program import Bobbin, Program

Load = Callable[..., Settings]


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


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Settings from these variables alone."""

    def loaded(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings.load(env_file=None)

    return loaded

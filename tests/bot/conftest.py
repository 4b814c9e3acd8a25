"""Fixtures for tests of the command line and of the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.config.settings import Settings
from tests.bot.program import Bobbin
from tests.fork_server import ForkServer

Load = Callable[..., Settings]


@pytest.fixture
def bobbin(fork_server: ForkServer, tmp_path: Path) -> Bobbin:
    """The program in an empty folder."""
    return Bobbin(fork_server, tmp_path)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Settings from these variables alone."""

    def loaded(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings.load(env_file=None)

    return loaded

"""Fixtures for tests of the whole product."""

from __future__ import annotations

import io
import logging
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot.observability import LOGGER_NAMES, SILENT_LOGGERS, configure_logging
from tests.handlers.two_workspaces import TwoWorkspaces
from tests.handlers.world import DATABASE, World, defaults

WorldFactory = Callable[..., AbstractAsyncContextManager[World]]
TwoWorkspacesFactory = Callable[..., TwoWorkspaces]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, in the form that operators see; restores the process's logging afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    written = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", written)
        configure_logging("DEBUG", "json")
    yield written
    root.handlers[:], level = before
    root.setLevel(level)
    for name in LOGGER_NAMES + SILENT_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def worlds(tmp_path: Path, log: io.StringIO, migrated_sqlite: Path) -> WorldFactory:
    """Creates a world with other settings: `async with worlds(bobbin_stream="edit") as world`."""
    shutil.copy(migrated_sqlite, tmp_path / DATABASE)
    defaults()  # cached for all tests, so it must be read before this test changes the environment

    def make(**options: Any) -> World:
        return World(tmp_path, log, **options)

    return make


@pytest.fixture
async def world(worlds: WorldFactory) -> AsyncIterator[World]:
    """The usual world: native streaming where Slack allows it, no rate limits, very fast models."""
    async with worlds() as usual:
        yield usual


@pytest.fixture
def make_workspaces(tmp_path: Path, log: io.StringIO) -> TwoWorkspacesFactory:
    def make(**options: Any) -> TwoWorkspaces:
        return TwoWorkspaces(tmp_path, log, **options)

    return make


@pytest.fixture
async def workspaces(make_workspaces: TwoWorkspacesFactory) -> AsyncIterator[TwoWorkspaces]:
    """Two workspaces; the app is installed in neither."""
    async with make_workspaces() as usual:
        usual.reply_to({"one?": "Answer one.", "two?": "Answer two.", "more?": "More."})
        yield usual


@pytest.fixture
async def installed(workspaces: TwoWorkspaces) -> TwoWorkspaces:
    """Two workspaces with the app installed."""
    assert (await workspaces.install(workspaces.slack)).status_code == 200
    assert (await workspaces.install(workspaces.second)).status_code == 200
    return workspaces

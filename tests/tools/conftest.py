"""Fixtures for tests of tools."""

from __future__ import annotations

from tests.handlers.conftest import WorldFactory, log, make_workspaces, worlds
from tests.storage.conftest import rivals

__all__ = ["WorldFactory", "log", "make_workspaces", "rivals", "worlds"]

"""Fixtures for tests of what model calls use: the whole product."""

from __future__ import annotations

from tests.handlers.conftest import WorldFactory, log, make_workspaces, worlds

__all__ = ["WorldFactory", "log", "make_workspaces", "worlds"]

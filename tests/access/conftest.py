"""Fixtures for access tests: the whole product, with rules."""

from __future__ import annotations

from tests.handlers.conftest import WorldFactory, log, make_workspaces, worlds

__all__ = ["WorldFactory", "log", "make_workspaces", "worlds"]

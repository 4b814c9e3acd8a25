"""Fixtures for tests of who may do what: the whole product, with rules."""

from __future__ import annotations

from tests.handlers.conftest import WorldFactory, log, make_workspaces, worlds

__all__ = ["WorldFactory", "log", "make_workspaces", "worlds"]

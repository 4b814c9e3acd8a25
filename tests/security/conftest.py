"""Fixtures for the tests of docs/security.md: the whole product, with its API and its page."""

from __future__ import annotations

from tests.api.conftest import api
from tests.browser.conftest import chromium, chromium_path, complaints, page
from tests.handlers.conftest import WorldFactory, log, world, worlds

__all__ = [
    "WorldFactory",
    "api",
    "chromium",
    "chromium_path",
    "complaints",
    "log",
    "page",
    "world",
    "worlds",
]

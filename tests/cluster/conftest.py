"""Fixtures for tests with separate processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.processes import ForkServer


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Where processes come from; one for all tests, since importing everything is what takes long."""
    opened = ForkServer()
    yield opened
    opened.close()

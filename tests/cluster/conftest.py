"""Fixtures for tests with processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.processes import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where processes come from; one for all tests, since importing everything is what takes long."""
    opened = Nursery()
    yield opened
    opened.close()

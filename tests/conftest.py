"""Fixtures for all tests: a clean environment, and real services when a test asks for them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from storage.database import Database
from tests import services

_OURS = ("SLACK_", "BOBBIN_", "OPENROUTER_", "VENICE_", "OPENAI_", "OLLAMA_")
_OURS_TOO = ("DATABASE_URL", "REDIS_URL", "HOST", "PORT", "LOG_LEVEL", "LOG_FORMAT")
_KEPT: pytest.StashKey[list[services.Service]] = pytest.StashKey()

S = TypeVar("S", bound=services.Service | services.RedisServer)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings, and least of all the keys, of the person who runs it."""
    for name in list(os.environ):
        if name.startswith(_OURS) or name.endswith("_API_KEY") or name in _OURS_TOO:
            monkeypatch.delenv(name)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the services even if their fixtures were never torn down."""
    for service in session.config.stash.get(_KEPT, []):
        service.close()


def _or_skip(make: Callable[[], S]) -> S:
    try:
        return make()
    except services.Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every service: {why}")
        pytest.skip(str(why))


def _keep(config: pytest.Config, service: services.Service) -> services.Service:
    config.stash.setdefault(_KEPT, []).append(service)
    return service


@pytest.fixture(scope="session")
def postgresql_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a PostgreSQL server where databases may be made."""
    service = _keep(pytestconfig, _or_skip(services.postgresql))
    yield service.url
    service.close()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    database = services.new_database(postgresql_server)
    yield database.url
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'bobbin.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, of each kind in turn."""
    opened = Database.open(database_url)
    try:
        await opened.migrate()
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a Redis that all tests share."""
    service = _keep(pytestconfig, _or_skip(services.shared_redis))
    yield service.url
    service.close()


@pytest.fixture
def own_redis() -> Iterator[services.RedisServer]:
    """A Redis that this test may stop and start again."""
    server = _or_skip(services.redis_server)
    yield server
    server.close()

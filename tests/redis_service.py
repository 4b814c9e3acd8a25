"""Real Redis servers for the tests: the installed one, else fakeredis."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

import redis

from tests.services import Service, Unavailable, end, free_port, wait_until_ready

START_TRIES = 3


class RedisServer:
    """A Redis server that tests may stop, and start again at the same address."""

    def __init__(self, executable: str | None) -> None:
        self._executable = executable
        self._home = tempfile.mkdtemp(prefix="bobbin-redis-")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.tls_port = 0
        """Where `restart` with `tls` listens too."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self, *options: str) -> None:
        """`options`: of the installed Redis alone. Raises Unavailable."""
        self._process = subprocess.Popen(
            [*self._command(), *options],
            cwd=self._home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_ready(self._ping, self._process, "Redis")
        except Unavailable:
            self.stop()
            raise

    def _command(self) -> list[str]:
        if self._executable is None:  # fakeredis: always installed, and enough for these tests
            return [sys.executable, "-W", "ignore", "-m", "tests.redis_service", str(self._port)]
        bind = ["--bind", "127.0.0.1", "--port", str(self._port)]
        return [self._executable, *bind, "--save", "", "--appendonly", "no", "--dir", self._home]

    def _ping(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.ping()

    def restart(self, *options: str, tls: bool = False) -> None:
        """With these options, which only the installed Redis has. `tls`: at `tls_port` too. Raises Unavailable.

        At other ports if it does not come up: another program may have taken one since it was found to be free.
        """
        if self._executable is None:
            raise Unavailable("redis-server is not installed")
        self.stop()
        for _ in range(START_TRIES - 1):
            with suppress(Unavailable):
                self._start_with(options, tls)
                return
            self._port = free_port()
        self._start_with(options, tls)

    def _start_with(self, options: tuple[str, ...], tls: bool) -> None:
        if tls:
            self.tls_port = free_port()
            options = ("--tls-port", str(self.tls_port), *options)
        self.start(*options)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGKILL)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


def redis_server() -> RedisServer:
    """A Redis server of our own: the installed one, else fakeredis. Raises Unavailable."""
    server = RedisServer(shutil.which("redis-server"))
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


def shared_redis() -> Service:
    """`TEST_REDIS_URL`, else a server of our own. Raises Unavailable."""
    if url := os.environ.get("TEST_REDIS_URL"):
        return Service(url)
    server = redis_server()
    return Service(server.url, server.close)


def _serve_fake_redis(port: int) -> None:
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("127.0.0.1", port), server_type="redis")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.pause()


if __name__ == "__main__":
    _serve_fake_redis(int(sys.argv[1]))

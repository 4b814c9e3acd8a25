"""The process that starts the programs of the tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fork_server import ForkServer


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """One of the test's own, which it may kill."""
    opened = ForkServer(imports=False)
    yield opened
    opened.close()


def _starts(server: ForkServer, folder: Path) -> None:
    with server.start(
        "this", environment=os.environ, folder=folder, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stdout.read().startswith("The Zen of Python")
        assert program.wait() == 0


def test_programs_are_started_even_after_its_process_has_died(
    server: ForkServer, tmp_path: Path
) -> None:
    _starts(server, tmp_path)
    server._process.kill()
    server._process.wait()
    _starts(server, tmp_path)

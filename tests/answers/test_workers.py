"""A worker is declared dead only if its process is certainly gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bot.answers.workers import is_dead, new_worker_id


def test_worker_ids_are_unique() -> None:
    assert new_worker_id() != new_worker_id()


def ended(own_id: str) -> str:
    """The id of a worker on this machine whose process is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return f"{own_id.split(':')[0]}:{child.pid}:ab"


@pytest.mark.parametrize("single_host", [True, False])
def test_worker_of_an_ended_process_is_dead(single_host: bool) -> None:
    own_id = new_worker_id()
    assert is_dead(ended(own_id), own_id, single_host=single_host)


@pytest.mark.parametrize("single_host", [True, False])
def test_worker_of_an_earlier_process_with_our_process_id_is_dead(single_host: bool) -> None:
    own_id = new_worker_id()
    earlier = f"{own_id.split(':')[0]}:{os.getpid()}:earlier"
    assert is_dead(earlier, own_id, single_host=single_host)


@pytest.mark.parametrize("single_host", [True, False])
def test_living_and_distant_workers_are_not_dead(single_host: bool) -> None:
    own_id = new_worker_id()
    in_the_same_process = new_worker_id()
    parent = f"{own_id.split(':')[0]}:{os.getppid()}:ab"
    for worker_id in (own_id, in_the_same_process, parent, "another-machine/abc:1:ab", "nonsense"):
        assert not is_dead(worker_id, own_id, single_host=single_host)


def test_container_with_our_host_name_is_distant_unless_there_is_a_single_host() -> None:
    own_id = new_worker_id()
    pid = ended(own_id).split(":")[1]
    there = f"{socket.gethostname()}/another:{pid}:ab"
    assert is_dead(there, own_id, single_host=True)
    assert not is_dead(there, own_id, single_host=False)


def test_without_a_boot_id_only_a_single_host_recognises_dead_workers() -> None:
    own_id = new_worker_id(boot_id=Path("/nowhere"))
    gone = ended(own_id)
    assert is_dead(gone, own_id, single_host=True)
    assert not is_dead(gone, own_id, single_host=False)

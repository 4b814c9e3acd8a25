"""A process that is gone is known to be gone; one that may live is left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bot.answers import workers
from bot.answers.workers import is_dead, new_worker_id


def test_every_process_start_has_a_name_of_its_own() -> None:
    assert new_worker_id() != new_worker_id()


def ended(me: str) -> str:
    """The name of a process that began where we did, and is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return f"{me.split(':')[0]}:{child.pid}:ab"


@pytest.mark.parametrize("one_machine", [True, False])
def test_a_process_that_ended_is_dead(one_machine: bool) -> None:
    me = new_worker_id()
    assert is_dead(ended(me), me, one_machine=one_machine)


@pytest.mark.parametrize("one_machine", [True, False])
def test_an_earlier_process_with_our_id_is_dead(one_machine: bool) -> None:
    me = new_worker_id()
    assert is_dead(f"{me.split(':')[0]}:{os.getpid()}:earlier", me, one_machine=one_machine)


@pytest.mark.parametrize("one_machine", [True, False])
def test_the_living_and_the_far_are_left_alone(one_machine: bool) -> None:
    me = new_worker_id()

    assert not is_dead(me, me, one_machine=one_machine)
    assert not is_dead(
        new_worker_id(), me, one_machine=one_machine
    )  # there may be two in one process
    assert not is_dead(f"{me.split(':')[0]}:{os.getppid()}:ab", me, one_machine=one_machine)
    assert not is_dead("another-machine/abc:1:ab", me, one_machine=one_machine)
    assert not is_dead("nonsense", me, one_machine=one_machine)


def test_a_container_of_the_same_name_is_far_unless_only_one_can_have_the_file() -> None:
    me = new_worker_id()
    pid = ended(me).split(":")[1]
    there = f"{socket.gethostname()}/another:{pid}:ab"
    assert (is_dead(there, me, one_machine=True), is_dead(there, me, one_machine=False)) == (
        True,
        False,
    )


def test_where_the_system_tells_nothing_only_one_machine_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_BOOT", Path("/nowhere"))
    me = new_worker_id()
    gone = ended(me)
    assert is_dead(gone, me, one_machine=True)
    assert not is_dead(gone, me, one_machine=False)

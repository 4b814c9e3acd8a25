"""A process that is gone is known to be gone; one that may live is left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from bot.replies.owners import new_owner, surely_dead


def test_every_process_start_has_a_name_of_its_own() -> None:
    assert new_owner() != new_owner()


def test_a_process_that_ended_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert surely_dead(f"{socket.gethostname()}:{child.pid}:ab", me=new_owner())


def test_an_earlier_process_with_our_id_is_dead() -> None:
    assert surely_dead(f"{socket.gethostname()}:{os.getpid()}:earlier", me=new_owner())


def test_the_living_and_the_far_are_left_alone() -> None:
    me = new_owner()

    assert not surely_dead(me, me)
    assert not surely_dead(f"{socket.gethostname()}:{os.getppid()}:ab", me)
    assert not surely_dead("another-machine:1:ab", me)
    assert not surely_dead("nonsense", me)

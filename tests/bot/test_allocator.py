"""Freed memory is returned to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_WORK = """
import sys, threading
from pathlib import Path
from bot.runtime.allocator import return_large_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def work():
    held = [bytearray(b"x") * 16_000_000 for _ in range(3)]
    between = bytearray(b"y") * 100_000
    del held
    left.append(between)
    done.set()
    end.wait()

if sys.argv[1] == "told":
    return_large_memory()
left = []
del_once = bytearray(b"z") * 30_000_000
del del_once  # from here on glibc maps only larger things by themselves
before, end = resident(), threading.Event()
for _ in range(3):
    done = threading.Event()
    threading.Thread(target=work).start()
    done.wait()
print(resident() - before)
end.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc's")
def test_large_freed_memory_goes_back_to_the_system() -> None:
    kept = {told: _kept(told) for told in ("told", "untold")}
    assert kept["told"] < 10_000_000 < kept["untold"]


def _kept(told: str) -> int:
    """Bytes that a process keeps after its threads have freed large things."""
    command = (sys.executable, "-c", _WORK, told)
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

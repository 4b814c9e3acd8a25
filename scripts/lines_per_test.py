"""A pytest plugin for `scripts.mutants`: records which lines of some modules each test executes, and its duration.

`-p scripts.lines_per_test --trace-module MODULE.py --trace-output FILE` appends one line of JSON for each test that
succeeds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--trace-module", action="append", default=[], help="path of a module to trace"
    )
    parser.addoption("--trace-output", type=Path, help="file to append to")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace a test with its fixtures. What it runs in other processes is not seen."""
    modules = {
        str(item.config.rootpath / module): module
        for module in item.config.getoption("--trace-module")
    }
    executed: dict[str, set[int]] = {module: set() for module in modules.values()}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        module = modules.get(frame.f_code.co_filename)
        if module is None:
            return None
        if event == "line":
            executed[module].add(frame.f_lineno)
        return trace

    started = time.perf_counter()
    failed = item.session.testsfailed
    sys.settrace(trace)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        if item.session.testsfailed == failed:
            lines = {module: sorted(numbers) for module, numbers in executed.items()}
            record = {"test": item.nodeid, "seconds": time.perf_counter() - started, "lines": lines}
            with item.config.getoption("--trace-output").open("a") as file:
                file.write(json.dumps(record) + "\n")

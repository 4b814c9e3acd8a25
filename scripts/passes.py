"""A pytest plugin for `scripts.mutants`: notes which lines of some modules each test passes, and how long it takes.

`-p scripts.passes --passes-of MODULE.py --passes-to FILE` adds one line of JSON for each test that succeeds.
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
    parser.addoption("--passes-of", action="append", default=[], help="a module by its path")
    parser.addoption("--passes-to", type=Path, help="where to write it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watches the test with its fixtures. What it does in processes of its own is not seen."""
    modules = {
        str(item.config.rootpath / module): module
        for module in item.config.getoption("--passes-of")
    }
    passed: dict[str, set[int]] = {module: set() for module in modules.values()}

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        module = modules.get(frame.f_code.co_filename)
        if module is None:
            return None
        if event == "line":
            passed[module].add(frame.f_lineno)
        return watch

    began, failed = time.perf_counter(), item.session.testsfailed
    sys.settrace(watch)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        if item.session.testsfailed == failed:
            lines = {module: sorted(numbers) for module, numbers in passed.items()}
            told = {"test": item.nodeid, "seconds": time.perf_counter() - began, "lines": lines}
            with item.config.getoption("--passes-to").open("a") as file:
                file.write(json.dumps(told) + "\n")

"""Which tests are long proofs, run by `make test-slow` and in CI instead of by `make test`.

A test is slow (`@pytest.mark.slow`) when it repeats, in more variants or for longer, what a quick test shows already,
and so is most of what is tried in a browser. `make test` takes about six minutes and exercises every mechanism.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_after(count: int, values: Iterable[Any]) -> list[Any]:
    """The values of a parametrized test; those after the first `count` are slow. A tuple holds several arguments."""
    return [each if number < count else slow(each) for number, each in enumerate(values)]


def slow(value: Any) -> Any:
    """A value, or a tuple of several arguments, with which a parametrized test is slow."""
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow)

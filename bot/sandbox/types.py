"""The two types that every part of the sandbox uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Clock = Callable[[], float]
"""Returns the time of day in seconds since the epoch."""

"""Parses durations as people write them: `30d`, `12 h`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """Hours, days or weeks, at most ten years. Raises ValueError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,6})\s*([hdw])", text.strip().lower())
    if found is None or (life := int(found[1]) * _UNITS[found[2]]) > LONGEST:
        raise ValueError(f"not a length of time: {text!r}")
    return life


def is_duration(text: str) -> bool:
    """Whether the text looks like a duration, valid or not: `30d`, `0d`, `99999999h`."""
    return re.fullmatch(r"\d+\s*[hdw]", text.strip().lower()) is not None

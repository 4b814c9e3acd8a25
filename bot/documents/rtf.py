"""rtf to text."""

from __future__ import annotations

from collections.abc import Iterator

from striprtf.striprtf import rtf_to_text


def read_rtf(data: bytes) -> Iterator[str]:
    """Cells of a table are separated by bars."""
    yield str(rtf_to_text(data.decode("latin-1"), errors="replace"))  # type: ignore[no-untyped-call]

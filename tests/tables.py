"""Tables whose rows share one world: every row is tried, and every failing row is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Rows:
    """The rows of a table; those that have failed are told together by `judge`."""

    def __init__(self) -> None:
        self._failures: list[Exception] = []

    @contextmanager
    def row(self, name: object) -> Iterator[None]:
        """What is done inside the block belongs to this row. The next row is tried whatever happens."""
        try:
            yield
        except Exception as failure:
            failure.add_note(f"row: {name}")
            self._failures.append(failure)

    def judge(self) -> None:
        """Raises an ExceptionGroup of what failed."""
        if self._failures:
            raise ExceptionGroup("rows of the table", self._failures)


@contextmanager
def rows_of_a_table() -> Iterator[Rows]:
    """`with rows_of_a_table() as rows:`, and `with rows.row(name):` for each row."""
    rows = Rows()
    yield rows
    rows.judge()

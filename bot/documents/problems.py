"""Why a document could not be read."""

from __future__ import annotations

from enum import StrEnum


class DocumentProblem(StrEnum):
    """The value is the code that is stored with the file; `bot.strings.FILE_PROBLEMS` has its sentence."""

    SCAN = "scan"
    """There are pages, but no text in them."""
    LOCKED = "locked"
    """A password is needed, or its reader's licence."""
    BROKEN = "broken_document"
    OLD_FORMAT = "old_format"
    """An Office format from before 2007."""
    TOO_COMPLEX = "too_complex"
    """It needs more time or memory than a document may have, or unpacks to too much."""
    UNKNOWN = "kind"
    """An archive or something else, but no document that is read here."""


class DocumentError(Exception):
    """The document cannot be read."""

    def __init__(
        self, problem: DocumentProblem, notes: str = "", *, truncated: bool = False
    ) -> None:
        """`notes`: what was written upon scanned pages; `truncated`: only the beginning of that."""
        super().__init__(problem.value)
        self.problem = problem
        self.notes = notes
        self.truncated = truncated

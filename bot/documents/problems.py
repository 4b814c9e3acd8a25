"""Why a document could not be read."""

from __future__ import annotations

from enum import StrEnum


class DocumentProblem(StrEnum):
    """The value is the code stored with the file; `bot.strings.FILE_PROBLEMS` has its sentence."""

    SCAN = "scan"
    """It has pages, but they contain no text."""
    LOCKED = "locked"
    """It requires a password, or its reader's licence."""
    BROKEN = "broken_document"
    OLD_FORMAT = "old_format"
    """An Office format from before 2007."""
    TOO_COMPLEX = "too_complex"
    """It needs more time or memory than a document may use, or unpacks to too much."""
    UNKNOWN = "kind"
    """An archive or something else that is not a supported document."""


class DocumentError(Exception):
    """The document cannot be read."""

    def __init__(
        self, problem: DocumentProblem, notes: str = "", *, truncated: bool = False
    ) -> None:
        """`notes`: what was written on scanned pages; `truncated`: whether that is only the beginning."""
        super().__init__(problem.value)
        self.problem = problem
        self.notes = notes
        self.truncated = truncated

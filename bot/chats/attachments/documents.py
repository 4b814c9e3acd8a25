"""Documents that were shared or sent: their text, or why it could not be read."""

from __future__ import annotations

from bot.chats.attachments import rules
from bot.chats.attachments.rules import MAX_TEXT_LENGTH, TextFile
from bot.documents.kinds import Container
from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.reader import DocumentBusy, DocumentReader
from bot.domain import Image
from bot.errors import FileProblem


class TeamDocuments:
    """Reads the documents of one workspace."""

    def __init__(self, reader: DocumentReader, team: str) -> None:
        self._reader = reader
        self._team = team

    async def read_or_keep(
        self, container: Container, data: bytes, name: str, *, keep: bool
    ) -> TextFile | Image:
        """The document as Markdown; with `keep`, a scanned PDF as it is. Raises FileProblem."""
        try:
            return await self._read(container, data, name)
        except DocumentError as error:
            scanned = error.problem is DocumentProblem.SCAN and container is Container.PDF
            pdf = rules.scanned_pdf(name, data) if keep and scanned else None
            return pdf or _noted(error, name)

    async def _read(self, container: Container, data: bytes, name: str) -> TextFile:
        try:
            found = await self._reader.read(self._team, container, data, MAX_TEXT_LENGTH)
        except DocumentBusy:
            raise FileProblem(rules.BUSY) from None
        return TextFile(name, "markdown", found.text, truncated=found.truncated)


def _noted(error: DocumentError, name: str) -> TextFile:
    """The notes on scanned pages that nobody reads; without notes, raises FileProblem."""
    if not error.notes:
        raise FileProblem(error.problem.value) from None
    return TextFile(name, "markdown", error.notes, truncated=error.truncated)

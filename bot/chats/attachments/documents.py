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
        """The document as Markdown; with `keep` a PDF of scanned pages as it is. Raises FileProblem."""
        try:
            return await self.read(container, data, name)
        except FileProblem as error:
            scanned = error.code == DocumentProblem.SCAN and container is Container.PDF
            pdf = rules.scanned_pdf(name, data) if keep and scanned else None
            if pdf is None:
                raise
            return pdf

    async def read(self, container: Container, data: bytes, name: str) -> TextFile:
        """The document as Markdown. Raises FileProblem."""
        try:
            found = await self._reader.read(self._team, container, data, MAX_TEXT_LENGTH)
        except DocumentError as error:
            raise FileProblem(error.problem.value) from None
        except DocumentBusy:
            raise FileProblem(rules.BUSY) from None
        return TextFile(name, "markdown", found.text, truncated=found.truncated)

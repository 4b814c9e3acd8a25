"""Documents that were shared or sent: their text, or why it could not be read."""

from __future__ import annotations

from bot.chats.attachments import rules
from bot.chats.attachments.rules import MAX_TEXT_LENGTH, TextFile
from bot.documents.kinds import Container
from bot.documents.problems import DocumentError
from bot.documents.reader import DocumentBusy, DocumentReader
from bot.errors import FileProblem


class TeamDocuments:
    """Reads the documents of one workspace."""

    def __init__(self, reader: DocumentReader, team: str) -> None:
        self._reader = reader
        self._team = team

    async def read(self, container: Container, data: bytes, name: str) -> TextFile:
        """The document as Markdown. Raises FileProblem."""
        try:
            found = await self._reader.read(self._team, container, data, MAX_TEXT_LENGTH)
        except DocumentError as error:
            raise FileProblem(error.problem.value) from None
        except DocumentBusy:
            raise FileProblem(rules.BUSY) from None
        return TextFile(name, "markdown", found.text, truncated=found.truncated)

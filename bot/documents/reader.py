"""Reads documents in separate processes, a few at a time."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field

from bot.documents.kinds import Container
from bot.documents.problems import DocumentError, DocumentProblem
from bot.runtime.tasks import KeyedLocks
from bot.text.untrusted_json import parsed
from bot.timing import Timing


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of a document, as Markdown."""

    text: str = field(repr=False)
    truncated: bool = False
    """Whether this is only its beginning."""


class DocumentBusy(Exception):
    """The document did not get its turn in time, or the machine has no room for another process."""


class DocumentReader:
    """Uses one process per document: one at a time for each workspace, and in total as many as there are processors."""

    def __init__(self, timing: Timing = Timing()) -> None:
        self._timeout = timing.document_timeout
        self._queue_timeout = timing.document_queue_timeout
        self._places = asyncio.Semaphore(os.cpu_count() or 1)
        self._turns: KeyedLocks[str] = KeyedLocks()

    async def read(self, team: str, container: Container, data: bytes, limit: int) -> DocumentText:
        """The first `limit` characters. Raises DocumentError, or DocumentBusy."""
        try:
            async with (
                asyncio.timeout(self._queue_timeout) as queue_timeout,
                self._turns[team],
                self._places,
            ):
                queue_timeout.reschedule(None)
                return await self._read(container, data, limit)
        except OSError:  # also TimeoutError: it did not get its turn
            raise DocumentBusy from None

    async def _read(self, container: Container, data: bytes, limit: int) -> DocumentText:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "bot.documents.worker", container.value, str(limit)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
        try:
            async with asyncio.timeout(self._timeout):
                output, _ = await process.communicate(data)
        except TimeoutError:
            raise DocumentError(DocumentProblem.TOO_COMPLEX) from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return _result(output)


def _result(output: bytes) -> DocumentText:
    """What the process printed. A process that died has reached its limits, or the document exploited a fault."""
    try:
        result = parsed(output)
    except ValueError:
        raise DocumentError(DocumentProblem.TOO_COMPLEX) from None
    if "problem" in result:
        problem, cut = DocumentProblem(result["problem"]), result.get("truncated", False)
        raise DocumentError(problem, result.get("notes", ""), truncated=cut)
    return DocumentText(result["text"], result["truncated"])

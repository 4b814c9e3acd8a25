"""A demo tool server: notes on a board, kept in a file. The sandbox starts it.

    python -I demo_server.py FILE

It communicates over its pipes, as local servers do. It is a standalone script that imports nothing from the bot.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

MAX_NOTE = 500
"""Characters of a note."""
MAX_SECONDS = 50.0
"""The longest delay that adding a note may have."""


class DemoBoard:
    """Notes, one per line of a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def read_notes(self) -> str:
        """Returns all notes on the board."""
        notes = self._file.read_text("utf-8").splitlines() if self._file.exists() else []
        listed = "\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))
        return listed or "The board is empty."

    async def add_note(self, text: str, seconds: float = 0.0) -> str:
        """Pins a note to the board. `seconds`: how long to take for it, after the note is there."""
        note = " ".join(text.split())[:MAX_NOTE]
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{note}\n")
            file.flush()
            os.fsync(file.fileno())
        await asyncio.sleep(min(MAX_SECONDS, max(0.0, seconds)))
        return f"Pinned to the board: {note}"


def main() -> None:
    from mcp.server import MCPServer  # so that getting the file's path does not load that
    from mcp.types import ToolAnnotations

    board = DemoBoard(Path(sys.argv[1]))
    server = MCPServer("notice board", log_level="ERROR")
    server.tool(annotations=ToolAnnotations(read_only_hint=True))(board.read_notes)
    server.tool()(board.add_note)
    server.run()


if __name__ == "__main__":
    main()

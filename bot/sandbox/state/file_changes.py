"""Changes to files that have been shared."""

from __future__ import annotations

from bot.sandbox.state.records import File
from bot.sandbox.state.workspace import Workspace


def delete_file_everywhere(workspace: Workspace, file: File) -> None:
    """Deletes a file. The messages that share it keep a tombstone."""
    file.mode, file.content = "tombstone", b""
    for channel in file.channels:
        for message in workspace.channels[channel].messages.values():
            if file.id in message.files:
                workspace.emit("file_deleted", channel, message, file=file)

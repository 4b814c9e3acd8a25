"""`bobbin` as a program: commands that end, with their output."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryFile

from bot.config.settings import Settings
from tests.fork_server import ForkServer


class Bobbin:
    """The program in a folder, with only the given settings."""

    def __init__(self, fork_server: ForkServer, folder: Path) -> None:
        self._fork_server = fork_server
        self.folder = folder

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs one command and waits until it ends."""
        names = {name.upper() for name in Settings.model_fields}
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= {
            "XDG_DATA_HOME": str(self.folder / "data"),
            "HOME": str(self.folder),
            **settings,
        }
        with TemporaryFile("w+") as said, TemporaryFile("w+") as complained:
            with self._fork_server.start(
                "bot",
                *arguments,
                environment=environment,
                folder=self.folder,
                stdout=said.fileno(),
                stderr=complained.fileno(),
            ) as program:
                code = program.wait()
            said.seek(0)
            complained.seek(0)
            return subprocess.CompletedProcess(arguments, code, said.read(), complained.read())

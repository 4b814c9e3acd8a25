"""`bobbin` as a program, started quickly: forked from a process that has imported everything already.

Importing takes a second of a processor, many times what most commands take. Some tests start `python -m bot` itself.

A line to that process is JSON: arguments, whole environment, folder, and the folder for the output. Its answer is the
exit code, or `null` when the command did not end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from bot.config.settings import Settings
from tests.deadlines import WAIT_TIMEOUT

_ROOT = Path(__file__).parents[2]


class Program:
    """Runs commands of `bobbin`, one after the other. Must be closed."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.bot.program"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: tuple[str, ...], environment: dict[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Runs one command in the folder, and waits until it ends."""
        with TemporaryDirectory(prefix="bobbin-output-") as output:
            code = self._exit_code([arguments, environment, str(folder), output])
            assert code is not None, f"not within {WAIT_TIMEOUT} s: {arguments}"
            said, complained = ((Path(output) / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, code, said, complained)

    def _exit_code(self, command: list[object]) -> int | None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(command) + "\n")
        self._server.stdin.flush()
        code: int | None = json.loads(self._server.stdout.readline())
        return code

    def close(self) -> None:
        self._server.communicate(timeout=WAIT_TIMEOUT)


class Bobbin:
    """The program in an empty folder, with no settings but those given."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self.folder = folder

    def __call__(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        names = {name.upper() for name in Settings.model_fields}
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= {
            "XDG_DATA_HOME": str(self.folder / "data"),
            "HOME": str(self.folder),
            **settings,
        }
        return self._program.run(arguments, environment, self.folder)


def _be_bobbin(
    arguments: list[str], environment: dict[str, str], folder: str, output: str
) -> NoReturn:
    from bot.cli import main

    nothing = os.open(os.devnull, os.O_RDONLY)
    said, complained = (
        os.open(Path(output) / name, os.O_WRONLY | os.O_CREAT) for name in ("stdout", "stderr")
    )
    for target, source in ((0, nothing), (1, said), (2, complained)):
        os.dup2(source, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["bobbin", *arguments]
    main()
    sys.exit()


def _wait_for(pid: int) -> int | None:
    """The exit code of the child; None when it had to be killed."""
    deadline = time.monotonic() + WAIT_TIMEOUT
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _serve() -> None:
    import bot.commands.doctor
    import bot.commands.run
    import bot.sandbox
    import bot.sandbox.models.server  # noqa: F401

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _be_bobbin(*json.loads(line))
        print(json.dumps(_wait_for(pid)), flush=True)


if __name__ == "__main__":
    _serve()

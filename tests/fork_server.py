"""Programs of the tests, started quickly: forked from a process that has imported everything already.

Importing takes more than a second of a processor, many times what most programs take. A few tests start
`python -m bot` itself.

A request to that process is JSON (module, arguments, whole environment, folder) together with three open files:
standard output, standard error, and a pipe that tells the id of the new process and, once it has ended, its exit code.
The process itself tells once that it is ready.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, NoReturn, Self

from tests.deadlines import WAIT_TIMEOUT

ROOT = Path(__file__).parents[1]
_REQUEST_BYTES = 1 << 20
_READY = b"ready"


class ForkedProgram:
    """A running program, with what tests need of `subprocess.Popen`."""

    def __init__(self, status: IO[bytes], stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        """Raises RuntimeError if the server does not tell its id."""
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._status = status
        told = status.readline() if _readable(status) else b""
        if not told:
            raise RuntimeError("the fork server has started no program")
        self.pid = int(told)

    def poll(self) -> int | None:
        """Its exit code, minus the signal if one has ended it; None while it is running."""
        return self._ended(0.0)

    def wait(self, timeout: float = WAIT_TIMEOUT) -> int:
        """Raises subprocess.TimeoutExpired if it is still running after this many seconds."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def _ended(self, timeout: float) -> int | None:
        if self.returncode is None and _readable(self._status, timeout):
            self.returncode = int(self._status.readline())
        return self.returncode

    def send_signal(self, how: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and its exit code is on its way
                os.kill(self.pid, how)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kills it if it is still running."""
        self.kill()
        self.wait()
        for each in (self.stdout, self.stderr):
            if each is not None:
                each.close()
        self._status.close()


class ForkServer:
    """Starts programs; if its process has died, in a new one. Must be closed."""

    def __init__(self, *, imports: bool = True) -> None:
        """`imports`: Bobbin, which takes long and makes the start of its programs short."""
        self._imports = imports
        self._beginning = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._ready = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fork_server"),
                *(str(theirs.fileno()), "all" if self._imports else "nothing"),
            ],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def _until_ready(self) -> None:
        """Until its process has imported everything. Raises RuntimeError if that fails."""
        with self._beginning:
            if self._process.poll() is not None:
                self._socket.close()
                self._begin()
            if not self._ready and not (_readable(self._socket) and self._socket.recv(len(_READY))):
                raise RuntimeError("the fork server does not start")
            self._ready = True

    def start(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        folder: Path,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
    ) -> ForkedProgram:
        """Runs `python -m MODULE ARGUMENTS` in the folder.

        `stdout` and `stderr`: an open file, `subprocess.PIPE` or `subprocess.DEVNULL`. Raises RuntimeError or OSError.
        """
        self._until_ready()
        request = [module, arguments, dict(environment), str(folder)]
        with ExitStack() as opened:
            reading, theirs = os.pipe()
            status = opened.enter_context(os.fdopen(reading, "rb", buffering=0))
            said, their_said = _output(stdout)
            complained, their_complained = _output(stderr)
            for each in (said, complained):
                if each is not None:
                    opened.enter_context(each)
            try:
                socket.send_fds(
                    self._socket,
                    [json.dumps(request).encode()],
                    [their_said, their_complained, theirs],
                )
            finally:
                for number in (theirs, their_said, their_complained):
                    os.close(number)
            program = ForkedProgram(status, said, complained)
            opened.pop_all()  # it closes them
            return program

    def close(self) -> None:
        self._socket.close()
        self._process.wait(WAIT_TIMEOUT)


def _readable(source: IO[bytes] | socket.socket, timeout: float = WAIT_TIMEOUT) -> bool:
    """Whether something can be read, or the other end is closed, within this many seconds."""
    return bool(select.select([source], [], [], timeout)[0])


def _output(wanted: int) -> tuple[IO[str] | None, int]:
    """What this process reads from an output, and what the program writes to."""
    if wanted == subprocess.PIPE:
        ours, theirs = os.pipe()
        return os.fdopen(ours, encoding="utf-8"), theirs
    if wanted == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    return None, os.dup(wanted)


# -- in the server's process ---------------------------------------------------------------------------------------


def _import_all() -> None:
    """What the programs import; they themselves are run as `__main__`."""
    import bot.cli.running
    import bot.commands.data
    import bot.commands.doctor
    import bot.commands.run
    import bot.commands.sandbox
    import bot.sandbox.models.server  # noqa: F401

    gc.collect()
    gc.freeze()  # else every program would look through all of it when it ends, which took most of its time


def _serve(requests: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the processes that wait
    with suppress(BrokenPipeError):  # there was nothing to start
        requests.send(_READY)
    while True:
        message, files, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 3)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            _watch(message, *files)
        for each in files:
            os.close(each)


def _watch(message: bytes, said: int, complained: int, status: int) -> None:
    """Starts the program, reports its id, waits for its end and reports its exit code. Returns only in the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _be(message, said, complained)
    os.close(said)
    os.close(complained)
    os.write(status, f"{pid}\n".encode())
    _, ended = os.waitpid(pid, 0)
    try:
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    finally:  # the process that asked may be gone
        os._exit(0)


def _be(message: bytes, said: int, complained: int) -> NoReturn:
    module, arguments, environment, folder = json.loads(message)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, said), (2, complained)):
        os.dup2(source, target)
        os.close(source)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    if sys.argv[2] == "all":
        _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))

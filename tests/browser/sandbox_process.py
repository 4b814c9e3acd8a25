"""`bobbin sandbox` as a process, whose Slack waits for the bot as long as in all tests.

    python -m tests.browser.sandbox_process FILE

FILE is the SQLite file that keeps the chats. The first line of output is the address of the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bot.cli.running import run_to_completion
from bot.commands.app_workspace import WorkspaceOptions
from bot.commands.sandbox import sandbox
from bot.config.settings import SandboxSettings
from bot.sandbox.limits import Limits
from tests.deadlines import DEADLINE_SCALE


def announce(page: str, api: str) -> None:
    print(page, flush=True)


def main(data: Path) -> None:
    settings = SandboxSettings.load()
    limits = Limits().with_deadlines_scaled(DEADLINE_SCALE)
    options = WorkspaceOptions("127.0.0.1", 0, data)
    run_to_completion(sandbox(settings, options, announce, limits))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

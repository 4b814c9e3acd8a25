"""The command line: arguments, output and exit codes. The work of the commands is in `bot.commands`."""

from bot.cli.program import app, main

__all__ = ["app", "main"]

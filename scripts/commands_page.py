"""Prints docs/commands.md: the help text of every command, taken from the program."""

from __future__ import annotations

import os

os.environ["COLUMNS"] = "100"  # before typer measures the terminal
os.environ.pop("TERMINAL_WIDTH", None)

from typer.testing import CliRunner

from bot.cli import app

COMMANDS = ("", "sandbox", "run", "doctor", "manifest", "migrate", "usage", "export", "erase")


def main() -> None:
    print("# Commands\n\nWritten by `make docs` from the program itself.")
    for command in COMMANDS:
        arguments = [*command.split(), "--help"]
        shown = " ".join(["bobbin", *arguments])
        print(
            f"\n## {f'bobbin {command}'.strip()}\n\n```console\n$ {shown}\n{help_of(arguments)}\n```"
        )


def help_of(arguments: list[str]) -> str:
    lines = CliRunner().invoke(app, arguments, prog_name="bobbin").output.strip("\n").splitlines()
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()

"""The command line: parses arguments, calls a command, prints, and sets the exit code.

The bot itself is imported only by the commands that need it, so that `--help` is quick.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import data as cli_data
from bot.cli import sandbox as cli_sandbox
from bot.cli.running import exit_on_error, read_settings, run_to_completion
from bot.errors import SettingsError

if TYPE_CHECKING:
    from bot.config.settings import Settings

app = typer.Typer(
    name="bobbin",
    help="Slack as the user interface for conversations with language models: a thread is a chat.",
    epilog="Settings come from environment variables and from a file named .env in the current folder; see README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""A full or broken disk; a reader that left (EPIPE) ends the program in silence, as in a pipe to `head`."""


def main() -> None:
    """The entry point of the `bobbin` command."""
    _open_closed_streams()
    if os.path.expanduser("~") == "~":
        # A user without an account, as in some containers. Runtimes set HOME to this, and libraries look for it.
        os.environ["HOME"] = "/"
    try:
        _run_command()
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _discard_unwritten_output()
        place = error.filename or "the output"
        sys.exit(
            f"bobbin: {place} cannot be written ({error.strerror}): free disk space there, or write it elsewhere"
        )


def _run_command() -> None:
    """Runs the command; output that cannot be written fails here and not when the interpreter ends."""
    try:
        app()
    finally:
        sys.stdout.flush()


def _discard_unwritten_output() -> None:
    """Sends what is still buffered nowhere, because the interpreter would try again to write it, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _open_closed_streams() -> None:
    """Replaces standard streams with which the process was started closed (`>&-`, some supervisors).

    Libraries take them for open, and the first files that are opened would take their numbers.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bobbin {version('bobbin')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """The options before the command."""


@app.command()
def run() -> None:
    """Run the bot on Slack.

    Socket Mode when SLACK_APP_TOKEN is set, else HTTP; many workspaces with SLACK_CLIENT_ID and SLACK_CLIENT_SECRET.
    """
    settings = read_settings()
    exit_on_error(lambda: _check_for_run(settings))
    from bot.commands.run import run as run_bot

    raise typer.Exit(run_to_completion(run_bot(settings)))


def _check_for_run(settings: Settings) -> None:
    """Raises SettingsError with what is missing, and with where it may be instead."""
    try:
        settings.for_run()
    except SettingsError as error:
        from bot.config.suspicious import suspicious_settings

        place = () if Path(".env").exists() else (f"there is no file .env in {Path.cwd()}",)
        raise SettingsError("; ".join((str(error), *place, *suspicious_settings()))) from None


app.command()(cli_sandbox.sandbox)


@app.command()
def doctor() -> None:
    """Check everything the bot needs; one line each.

    Tokens, scopes, database, Redis and each model provider: ok, or what to do.
    Exit code 1 when something is wrong, 2 when a setting cannot even be read.
    """
    settings = read_settings(log_level="ERROR")  # the findings replace the logs
    from bot.commands.doctor import examine

    findings = run_to_completion(examine(settings))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.message}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command()
def manifest(
    http: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The HTTP variant, for a bot whose public address is URL."
        ),
    ] = None,
    command: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the slash command; the bot answers under any."),
    ] = "/chats",
    link: Annotated[
        bool,
        typer.Option("--link", help="A link that opens Slack's dialog with the manifest in it."),
    ] = False,
) -> None:
    """Print the app manifest to paste into Slack.

    There: api.slack.com/apps, Create New App, From a manifest. Or open what --link prints.
    """
    from bot.manifest import manifest_link, manifest_text

    render = manifest_link if link else manifest_text
    typer.echo(exit_on_error(lambda: render(http, command)).rstrip("\n"))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema.

    The commands run and sandbox do it by themselves.
    """
    settings = read_settings()
    from bot.commands.run import migrate as migrate_database

    run_to_completion(migrate_database(settings))
    typer.echo("The database is up to date.")


for _command in (cli_data.usage, cli_data.export, cli_data.erase):
    app.command()(_command)

"""The commands about stored data: usage, export, erase."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from bot.cli.running import exit_on_error, exit_with, read_settings, run_to_completion
from bot.usage.figures import GroupBy, parse_since
from bot.usage.report import ReportFormat, report


def usage(
    since: Annotated[
        str,
        typer.Option(metavar="SINCE", help="So many days (30d) or weeks (4w), or a date; in UTC."),
    ] = "30d",
    by: Annotated[GroupBy, typer.Option(help="What is added up.")] = GroupBy.USER,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How it is printed.")
    ] = ReportFormat.TABLE,
) -> None:
    """Print what was used: answers, failures, tokens in and out, cached, and the cost where it is known."""
    try:
        first = parse_since(since)
    except ValueError:
        exit_with(f"--since {since} is neither a number of days (30d) nor a date (2026-11-30)")
    settings = read_settings(log_level="ERROR")
    from bot.commands.run import usage as read_usage

    typer.echo(report(run_to_completion(read_usage(settings, first, by)), by, form))


def export(
    user: Annotated[
        str | None,
        typer.Option(metavar="TEAM/USER", help="All chats that this person takes part in."),
    ] = None,
    chat: Annotated[str | None, typer.Option(metavar="ID", help="One chat.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="markdown or json.")
    ] = "markdown",
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write. Unset: standard output."),
    ] = None,
) -> None:
    """Write chats as Markdown or JSON.

    Name a person or a chat. JSON holds the pictures too.
    """
    settings = read_settings()
    if (user is None) == (chat is None):
        exit_with("export wants either --user TEAM/USER or --chat ID")
    if form not in ("markdown", "json"):
        exit_with(f"--format {form} must be markdown or json")
    from bot.chats.export import ExportFormat
    from bot.commands import data as data_commands

    who = exit_on_error(lambda: data_commands.person(user)) if user is not None else None
    with _writing_to(file) as target:
        run_to_completion(
            data_commands.export(
                settings, user=who, chat=chat, form=ExportFormat(form), file=target
            )
        )


def erase(
    user: Annotated[
        str | None,
        typer.Option(metavar="TEAM/USER", help="Everything that is stored about this person."),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Chats not used since this day, such as 2026-01-31."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only count.")] = False,
) -> None:
    """Say what would be removed, table by table, and remove it with --yes.

    Messages in Slack stay there: delete them in Slack.
    """
    settings = read_settings()
    if (user is None) == (before is None):
        exit_with("erase wants either --user TEAM/USER or --before DATE")
    from bot.commands import data as data_commands
    from storage.erasure import Selection

    selection = exit_on_error(
        lambda: (
            Selection(user=data_commands.person(user))
            if user is not None
            else Selection(before=data_commands.moment(before or ""))
        )
    )
    removed = run_to_completion(data_commands.erase(settings, selection, really=yes))
    for name, count in removed.rows.items():
        typer.echo(f"{count:10,}  {name}")
    typer.echo(_erase_summary(removed.done, bool(removed.rows)))


def _erase_summary(done: bool, any_rows: bool) -> str:
    if not any_rows and not done:
        return "Nothing is stored that this names."
    what = "Removed." if done else "Nothing is removed yet: add --yes to remove these rows."
    return f"{what} Messages in Slack, and what models were sent, are out of reach."


@contextmanager
def _writing_to(file: Path | None) -> Iterator[IO[str]]:
    if file is None:
        yield sys.stdout
        return
    try:
        with file.open("w", encoding="utf-8") as opened:
            yield opened
    except OSError as error:
        exit_with(f"--file {file} cannot be written ({error.strerror})")

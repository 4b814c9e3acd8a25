"""The command line: parses arguments, calls a command, prints, and sets the exit code.

The bot itself is imported only by the commands that need it, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import sys
import webbrowser
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from bot import strings
from bot.errors import BobbinError, SettingsError
from bot.usage.figures import GroupBy, parse_since
from bot.usage.report import ReportFormat, report

if TYPE_CHECKING:
    from bot.config.settings import Settings

T = TypeVar("T")

SANDBOX_PORT = 8765
"""The first port that the sandbox tries."""
SETTINGS_EXIT_CODE = 2
"""The exit code when a setting is missing or invalid."""

_ADDRESS_ERRNOS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)

app = typer.Typer(
    name="bobbin",
    help="Slack as the user interface for conversations with language models: a thread is a chat.",
    epilog="Settings come from environment variables and from a file named .env in the current folder; see README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """The entry point of the `bobbin` command."""
    app()


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
    settings = _settings()
    _exit_on_error(settings.for_run)
    from bot.commands import run as run_bot

    raise typer.Exit(run_to_completion(run_bot(settings)))


@app.command()
def sandbox(
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; this machine's own only.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help=f"Port of the page; 0 takes any free one. Unset: {SANDBOX_PORT}, or the next free one.",
            show_default=False,
        ),
    ] = None,
    open_page: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Open the page in a browser. Unset: on a terminal.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The SQLite file of the chats; the workspace is kept beside it. Unset: in the user's data folder.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over: delete the workspace and its chats first.")
    ] = False,
    without_bot: Annotated[
        bool,
        typer.Option(
            "--without-bot",
            help="The workspace alone, for any Slack app: prints the settings to run the app with.",
        ),
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --without-bot: the app's manifest (YAML or JSON), for its commands, shortcuts, events "
            "and scopes. Unset: everything.",
            show_default=False,
        ),
    ] = None,
    request_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="With --without-bot: where the app takes requests over HTTP. Unset: Socket Mode.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Try the bot in a Slack-like workspace on this machine.

    Needs no account, key or network. Uses demo models unless a model key is set.
    With --without-bot it is a Slack for the developers of other apps (docs/sandbox-for-apps.md).
    """
    if not _is_loopback(host):
        _exit_with(
            f"--host {host} is not an address of this machine alone: use 127.0.0.1, ::1 or localhost"
        )
    opens = sys.stdout.isatty() if open_page is None else open_page
    port = _free_port(host) if port is None else port
    if without_bot:
        _sandbox_without_bot(
            manifest, request_url, host=host, port=port, data=data, fresh=fresh, opens=opens
        )
        return
    if manifest is not None or request_url is not None:
        _exit_with("--manifest and --request-url are for other apps: add --without-bot")
    from bot.config.settings import SandboxSettings

    settings = _loaded(SandboxSettings)
    from bot.commands import sandbox as run_sandbox

    on_ready = _announcer([each.label for each in settings.providers()], opens)
    run_to_completion(
        run_sandbox(
            settings,
            host=host,
            port=port,
            data=data.expanduser().resolve() if data else settings.data_file("sandbox.sqlite3"),
            fresh=fresh,
            on_ready=on_ready,
        )
    )


def _sandbox_without_bot(
    manifest: Path | None,
    request_url: str | None,
    *,
    host: str,
    port: int,
    data: Path | None,
    fresh: bool,
    opens: bool,
) -> None:
    from bot.app_workspace import app_workspace, load_app
    from bot.config.settings import Settings

    developed, urls = _exit_on_error(lambda: load_app(manifest, request_url))
    run_to_completion(
        app_workspace(
            developed,
            urls,
            host=host,
            port=port,
            data=data.expanduser().resolve() if data else Settings.data_file("app.sqlite3"),
            fresh=fresh,
            show=_print_line,
            on_ready=lambda address: _open(address, opens),
        )
    )


def _open(address: str, wanted: bool) -> None:
    if wanted:
        webbrowser.open(address)


def _print_line(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()


@app.command()
def doctor() -> None:
    """Check everything the bot needs; one line each.

    Tokens, scopes, database, Redis and each model provider: ok, or what to do.
    Exit code 1 when something is wrong, 2 when a setting cannot even be read.
    """
    settings = _settings(log_level="ERROR")  # the findings replace the logs
    from bot.doctor import examine

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
    typer.echo(_exit_on_error(lambda: render(http, command)).rstrip("\n"))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema.

    The commands run and sandbox do it by themselves.
    """
    settings = _settings()
    from bot.commands import migrate as migrate_database

    run_to_completion(migrate_database(settings))
    typer.echo("The database is up to date.")


@app.command()
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
        _exit_with(f"--since {since} is neither a number of days (30d) nor a date (2026-11-30)")
    settings = _settings(log_level="ERROR")
    from bot.commands import usage as read_usage

    typer.echo(report(run_to_completion(read_usage(settings, first, by)), by, form))


@app.command()
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
    settings = _settings()
    if (user is None) == (chat is None):
        _exit_with("export wants either --user TEAM/USER or --chat ID")
    if form not in ("markdown", "json"):
        _exit_with(f"--format {form} must be markdown or json")
    from bot import data_commands
    from bot.chats.export import ExportFormat

    who = _exit_on_error(lambda: data_commands.person(user)) if user is not None else None
    with _writing_to(file) as target:
        run_to_completion(
            data_commands.export(
                settings, user=who, chat=chat, form=ExportFormat(form), file=target
            )
        )


@app.command()
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
    settings = _settings()
    if (user is None) == (before is None):
        _exit_with("erase wants either --user TEAM/USER or --before DATE")
    from bot import data_commands
    from storage.erasure import Selection

    selection = _exit_on_error(
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
        _exit_with(f"--file {file} cannot be written ({error.strerror})")


def _settings(log_level: str | None = None) -> Settings:
    from bot.config.settings import Settings

    return _loaded(Settings, log_level)


def _loaded(kind: type[Settings], log_level: str | None = None) -> Settings:
    from bot.observability import configure_logging

    settings = _exit_on_error(kind.load)
    configure_logging(log_level or settings.log_level, settings.log_format, settings.secrets())
    return settings


def _announcer(providers: Sequence[str], open_page: bool) -> Callable[[str, str], None]:
    """`providers`: the names of those that are set."""
    models = strings.SANDBOX_MODELS.format(providers=", ".join(providers))

    def announce(address: str, api: str) -> None:
        lines = strings.SANDBOX_READY.format(
            address=address, models=models if providers else strings.SANDBOX_DEMO, api=f"{api}/docs"
        )
        typer.echo(lines)
        sys.stdout.flush()
        _open(address, open_page)

    return announce


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _free_port(host: str) -> int:
    """The first free port from `SANDBOX_PORT` on; 0 (any free port) when a hundred are taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(SANDBOX_PORT, SANDBOX_PORT + 100):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    return 0


def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command. A problem with the settings, the database or Slack becomes one line and an exit code."""

    def run_all() -> T:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)

    try:
        return _exit_on_error(run_all)
    except KeyboardInterrupt:  # before the bot handles signals
        raise typer.Exit(130) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is available."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def _exit_on_error(call: Callable[[], T]) -> T:
    try:
        return call()
    except SettingsError as error:
        _exit_with(str(error))
    except BobbinError as error:
        _exit_with(f"{error}; 'bobbin doctor' says more", code=1)
    except OSError as error:
        if error.errno not in _ADDRESS_ERRNOS:
            raise
        _exit_with(
            f"cannot listen there ({error.strerror}): choose another port, or 0 for any free one"
        )


def _exit_with(line: str, code: int = SETTINGS_EXIT_CODE) -> NoReturn:
    typer.echo(f"bobbin: {' '.join(line.split())}", err=True)
    raise typer.Exit(code)

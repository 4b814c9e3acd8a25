"""The command line: parses arguments, calls a command, prints, and sets the exit code.

The bot itself is imported only by the commands that need it, so that `--help` is quick.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bot import cli_data, english_strings
from bot.cli_run import exit_on_error, exit_with, load_settings, read_settings, run_to_completion

T = TypeVar("T")

SANDBOX_PORT = 8765
"""The first port that the sandbox tries."""
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
    settings = read_settings()
    exit_on_error(settings.for_run)
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
        exit_with(
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
        exit_with("--manifest and --request-url are for other apps: add --without-bot")
    from bot.config.settings import SandboxSettings

    settings = load_settings(SandboxSettings)
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

    developed, urls = exit_on_error(lambda: load_app(manifest, request_url))
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
    settings = read_settings(log_level="ERROR")  # the findings replace the logs
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
    typer.echo(exit_on_error(lambda: render(http, command)).rstrip("\n"))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema.

    The commands run and sandbox do it by themselves.
    """
    settings = read_settings()
    from bot.commands import migrate as migrate_database

    run_to_completion(migrate_database(settings))
    typer.echo("The database is up to date.")


def _announcer(providers: Sequence[str], open_page: bool) -> Callable[[str, str], None]:
    """`providers`: the names of those that are set."""
    models = english_strings.SANDBOX_MODELS.format(providers=", ".join(providers))

    def announce(address: str, api: str) -> None:
        lines = english_strings.SANDBOX_READY.format(
            address=address,
            models=models if providers else english_strings.SANDBOX_DEMO,
            api=f"{api}/docs",
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


for _command in (cli_data.usage, cli_data.export, cli_data.erase):
    app.command()(_command)

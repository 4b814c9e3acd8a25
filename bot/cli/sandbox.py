"""The command `sandbox`: a Slack-like workspace on this machine, with the bot or for any other app."""

from __future__ import annotations

import ipaddress
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot import english_strings
from bot.cli.running import exit_on_error, exit_with, load_settings, run_to_completion

if TYPE_CHECKING:
    from bot.commands.app_workspace import WorkspaceOptions

SANDBOX_PORT = 8765
"""The first port that the sandbox tries."""

Host = Annotated[
    str, typer.Option(metavar="HOST", help="Address to listen on; this machine's own only.")
]
Port = Annotated[
    int | None,
    typer.Option(
        metavar="PORT",
        min=0,
        max=65535,
        help=f"Port of the page; 0 takes any free one. Unset: {SANDBOX_PORT}, or the next free one.",
        show_default=False,
    ),
]
OpenPage = Annotated[
    bool | None,
    typer.Option(
        "--open/--no-open",
        help="Open the page in a browser. Unset: on a terminal.",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The SQLite file of the chats; the workspace is kept beside it. Unset: in the user's data folder.",
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start over: delete the workspace and its chats first.")
]
WithoutBot = Annotated[
    bool,
    typer.Option(
        "--without-bot",
        help="The workspace alone, for any Slack app: prints the settings to run the app with.",
    ),
]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --without-bot: the app's manifest (YAML or JSON), for its commands, shortcuts, events "
        "and scopes. Unset: everything.",
        show_default=False,
    ),
]
RequestUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="With --without-bot: where the app takes requests over HTTP. Unset: Socket Mode.",
        show_default=False,
    ),
]


def sandbox(
    host: Host = "127.0.0.1",
    port: Port = None,
    open_page: OpenPage = None,
    data: Data = None,
    fresh: Fresh = False,
    without_bot: WithoutBot = False,
    manifest: ManifestFile = None,
    request_url: RequestUrl = None,
) -> None:
    """Try the bot in a Slack-like workspace on this machine.

    Needs no account, key or network. Uses demo models unless a model key is set.
    With --without-bot it is a Slack for the developers of other apps (docs/sandbox-for-apps.md).
    """
    if not _is_loopback(host):
        exit_with(
            f"--host {host} is not an address of this machine alone: use 127.0.0.1, ::1 or localhost"
        )
    if not without_bot and (manifest is not None or request_url is not None):
        exit_with("--manifest and --request-url are for other apps: add --without-bot")
    opens = sys.stdout.isatty() if open_page is None else open_page
    port = _free_port(host) if port is None else port
    name = "app" if without_bot else "sandbox"
    options = exit_on_error(lambda: _options(host, port, data, fresh, name))
    if without_bot:
        _without_bot(manifest, request_url, options, opens)
    else:
        _with_bot(options, opens)


def _options(
    host: str, port: int, data: Path | None, fresh: bool, default: str
) -> WorkspaceOptions:
    """`default`: the name of the file of chats if none is given."""
    from bot.commands.app_workspace import WorkspaceOptions
    from bot.config.settings import Settings

    try:
        file = data.expanduser().resolve() if data else Settings.data_file(f"{default}.sqlite3")
    except RuntimeError:
        exit_with(f"--data {data} is in the home of an unknown user: write the whole path")
    if file.is_dir():
        exit_with(f"--data {data} is a folder: name a file in it")
    return WorkspaceOptions(host, port, file, fresh)


def _with_bot(options: WorkspaceOptions, opens: bool) -> None:
    from bot.config.settings import SandboxSettings

    settings = load_settings(SandboxSettings)
    from bot.commands.sandbox import sandbox as run_sandbox

    on_ready = _announcer([each.label for each in settings.providers()], opens)
    run_to_completion(run_sandbox(settings, options, on_ready))


def _without_bot(
    manifest: Path | None, request_url: str | None, options: WorkspaceOptions, opens: bool
) -> None:
    from bot.commands.app_workspace import app_workspace, load_app

    app, urls = exit_on_error(lambda: load_app(manifest, request_url))
    run_to_completion(
        app_workspace(
            app,
            urls,
            options,
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


def _announcer(providers: Sequence[str], open_page: bool) -> Callable[[str, str], None]:
    """`providers`: the names of the configured providers."""
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


def _free_port(host: str, first: int = SANDBOX_PORT) -> int:
    """The first free port from `first` on; 0 (any free port) when a hundred are taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(first, min(first + 100, 65_536)):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    return 0

"""The work of `bobbin sandbox --without-bot`: a local Slack for app developers, until SIGTERM or Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot.errors import SettingsError
from bot.runtime.shutdown import shutdown_on_signal
from bot.sandbox import ManifestError, Sandbox, WorkspaceFile, WorkspaceFileError
from bot.sandbox.app_manifest import AppManifest
from bot.sandbox.events.http_delivery import RequestUrls


@dataclass(frozen=True)
class WorkspaceOptions:
    """Where a local Slack is served, and where its data is kept."""

    host: str
    port: int
    data: Path
    """The SQLite file of the bot's chats; the workspace is kept in another one beside it."""
    fresh: bool = False
    """Whether both are emptied first."""

    def open_file(self) -> WorkspaceFile:
        """The file of the workspace. Raises SettingsError."""
        try:
            return WorkspaceFile.open(
                self.data.with_name(f"{self.data.stem}.workspace.sqlite3"), fresh=self.fresh
            )
        except WorkspaceFileError as error:
            raise SettingsError(str(error)) from None


def load_app(
    manifest: Path | None, request_url: str | None
) -> tuple[AppManifest, RequestUrls | None]:
    """The app that the workspace is for, and where it receives requests (None: over Socket Mode).

    Raises SettingsError for a manifest or an address that can't be used.
    """
    try:
        app = AppManifest.read(manifest) if manifest else AppManifest()
    except ManifestError as error:
        raise SettingsError(f"--manifest {error}") from None
    try:
        return app, app.request_urls(request_url) if request_url is not None else None
    except ManifestError as error:
        raise SettingsError(f"--request-url {error}") from None


async def app_workspace(
    app: AppManifest,
    urls: RequestUrls | None,
    options: WorkspaceOptions,
    *,
    show: Callable[[str], None],
    on_ready: Callable[[str], None],
) -> None:
    """Runs the workspace.

    `show` receives lines for a shell: assignments to paste, and comments. `on_ready` receives the page's address.
    """
    file = options.open_file()
    async with (
        shutdown_on_signal() as shutdown,
        Sandbox(
            host=options.host,
            port=options.port,
            scopes=app.scopes,
            events=app.events,
            commands=app.commands,
            shortcuts=app.shortcuts,
            features=app.features,
            bot_name=app.name,
            request_url=urls,
            on_challenge=lambda problem: show(_challenge_line(problem)),
            file=file,
        ) as slack,
    ):
        for line in _introduction(app, slack, urls):
            show(line)
        on_ready(slack.url)
        await shutdown.wait()


def _introduction(app: AppManifest, slack: Sandbox, urls: RequestUrls | None) -> list[str]:
    transport = f"at {urls.url}" if urls else "over Socket Mode"
    return [
        f"# A Slack workspace for {app.name} is open at {slack.url}",
        f"# Run your app in another shell with these settings; Slack reaches it {transport}.",
        f"export SLACK_API_URL={slack.api_url}",
        f"export SLACK_BOT_TOKEN={slack.bot_token}",
        f"export SLACK_APP_TOKEN={slack.app_token}",
        f"export SLACK_SIGNING_SECRET={slack.signing_secret}",
        *([f"export SLACK_WEBHOOK_URL={slack.webhook.url}"] if slack.webhook.url else []),
        *(f"# Note: {remark}" for remark in app.remarks),
        "# Ctrl-C ends it; the workspace and these settings are kept (--fresh empties the workspace).",
    ]


def _challenge_line(problem: str | None) -> str:
    if problem is None:
        return "# Your app has answered the challenge: events, commands and clicks go there now."
    return f"# Waiting for your app: {problem}"

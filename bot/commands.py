"""The work of the commands `run`, `sandbox` and `migrate`. The first two run until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from starlette.routing import Mount

from bot import english_strings
from bot.app import build
from bot.app_workspace import workspace_file
from bot.config.chats import SearchMode
from bot.config.settings import Settings
from bot.config.tracing import traces_wanted
from bot.config.unknown import unknown_settings
from bot.errors import SettingsError
from bot.manifest import bot_scopes, manifest, optional_scopes
from bot.observability import configure_logging, get_logger
from bot.providers.base import ProviderSettings
from bot.shutdown import shutdown_on_signal
from bot.timing import Timing
from bot.tools import notice_board
from bot.tools.config import ToolConfig, ToolServer
from bot.tracing import tracing
from bot.usage.figures import Figures, GroupBy
from handlers.rate_limits.token_bucket import RATES, Rate
from storage.engine.database import Database
from storage.ledger import Ledger

if TYPE_CHECKING:
    from bot.sandbox.limits import Limits

log = get_logger(__name__)


async def run(
    settings: Settings, timing: Timing = Timing(), rates: Mapping[str, Rate] = RATES
) -> int:
    """`bobbin run`: runs the bot until SIGTERM or Ctrl-C."""
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    for problem in unknown_settings():
        log.warning("unknown_setting", problem=problem)
    async with (
        shutdown_on_signal() as shutdown,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(tracing(traces_wanted()))
        bot = await stack.enter_async_context(build(settings, timing=timing, rates=rates))
        if await bot.transport.until_connected():
            log.info("connected")
        else:
            log.warning("not_connected_yet")
        await shutdown.wait()
        log.info("stopping")
    return 0


async def sandbox(
    settings: Settings,
    *,
    host: str,
    port: int,
    data: Path,
    fresh: bool = False,
    on_ready: Callable[[str, str], None],
    limits: Limits | None = None,
) -> None:
    """`bobbin sandbox`: a local Slack and the bot in it, until SIGTERM or Ctrl-C.

    `data` is the SQLite file of the chats; the workspace is kept in another one beside it. `fresh` empties both first.
    `on_ready` is called with the addresses of the page and of the bot's HTTP side. `limits`: what this Slack allows;
    by default what Slack does.
    """
    from bot.sandbox import Sandbox, WorkspaceFile, WorkspaceFileError
    from bot.sandbox.models.server import create_models_app

    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    app = manifest()
    features = app["features"]
    try:
        file = WorkspaceFile.open(workspace_file(data), fresh=fresh)
    except WorkspaceFileError as error:
        raise SettingsError(str(error)) from None
    if fresh:
        _delete_database(data)
        _notes_file(data).unlink(missing_ok=True)
    async with (
        shutdown_on_signal() as shutdown,
        Sandbox(
            limits=limits,
            host=host,
            port=port,
            scopes=bot_scopes() | optional_scopes(),
            events=app["settings"]["event_subscriptions"]["bot_events"],
            commands=features.get("slash_commands", ()),
            shortcuts=features.get("shortcuts", ()),
            tips=_tips(settings),
            mounts=[Mount("/models/v1", create_models_app())],
            file=file,
        ) as slack,
    ):
        changes: dict[str, object] = {
            "slack_bot_token": SecretStr(slack.bot_token),
            "slack_app_token": SecretStr(slack.app_token),
            "slack_api_url": slack.api_url,
            "database_url": SecretStr(f"sqlite:///{data}"),
        }
        if "port" not in settings.model_fields_set:
            changes["port"] = 0  # another bot on this machine may use the default port
        slack.workspace.user("alice").is_admin = True  # so that somebody can try what admins may
        if not settings.providers() and "bobbin_web_search" not in settings.model_fields_set:
            changes["bobbin_web_search"] = (
                SearchMode.ASK
            )  # so that it can be tried, where it costs nothing
        if not settings.providers() and settings.bobbin_transcribe_model is None:
            changes["bobbin_transcribe_model"] = "demo:demo/ears"
        tools = settings.tools
        if not settings.providers() and not tools.servers:
            tools = _notice_board(data)
        # They speak OpenRouter's dialect, in which a model can search the web.
        demo = ProviderSettings("demo", "Demo models", f"{slack.url}/models/v1", kind="openrouter")
        async with build(settings.changed(**changes).with_tools(tools), demo) as bot:
            if not await bot.transport.until_connected():
                raise SettingsError("the bot could not connect to its own sandbox")
            on_ready(slack.url, bot.url)
            await shutdown.wait()


def _notice_board(data: Path) -> ToolConfig:
    """A server of tools to try, whose notes are kept beside the chats."""
    args = ("-I", notice_board.__file__, str(_notes_file(data)))
    return ToolConfig((ToolServer("board", command=sys.executable, args=args),))


def _notes_file(data: Path) -> Path:
    return data.with_name(f"{data.stem}.notes.txt")


def _tips(settings: Settings) -> Sequence[str]:
    """What the first page suggests to try."""
    first, *rest = english_strings.SANDBOX_TIPS
    if settings.providers():
        return [first, *rest]
    tools = [] if settings.tools.servers else [english_strings.SANDBOX_TIP_TOOLS]
    return [first, english_strings.SANDBOX_TIP_DEMO, *tools, *rest]


def _delete_database(file: Path) -> None:
    for part in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        part.unlink(missing_ok=True)


async def migrate(settings: Settings) -> None:
    """`bobbin migrate`: brings the database to the newest schema."""
    database = Database.open(settings.database())
    try:
        await database.migrate()
    finally:
        await database.close()


async def usage(settings: Settings, since: date, by: GroupBy) -> list[Figures]:
    """`bobbin usage`: what was used from that day (UTC) on, in all workspaces."""
    database = Database.open(settings.database())
    try:
        return await Ledger(database).figures(since, by)
    finally:
        await database.close()

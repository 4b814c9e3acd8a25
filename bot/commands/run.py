"""The work of the commands `run`, `migrate` and `usage`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import date

from bot.app import build
from bot.config.settings import Settings
from bot.config.suspicious import suspicious_settings
from bot.config.tracing import traces_wanted
from bot.config.values import reveal
from bot.observability import configure_logging, get_logger
from bot.runtime.shutdown import shutdown_on_signal
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from bot.tracing import tracing
from bot.usage.figures import Figures, GroupBy
from handlers.client.diagnostics import slack_checks
from handlers.rate_limits.slack_rates import RATES, Rate
from storage.engine.database import Database
from storage.ledger import Ledger

log = get_logger(__name__)


async def run(
    settings: Settings, timing: Timing = Timing(), rates: Mapping[str, Rate] = RATES
) -> int:
    """`bobbin run`: runs the bot until SIGTERM or Ctrl-C."""
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    for problem in suspicious_settings():
        log.warning("unknown_setting", problem=problem)
    async with (
        shutdown_on_signal() as shutdown,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(tracing(traces_wanted()))
        bot = await stack.enter_async_context(build(settings, timing=timing, rates=rates))
        tasks = await stack.enter_async_context(Tasks(exit_timeout=0.0))
        if await bot.transport.until_connected():
            log.info("connected")
            tasks.start(_warn_of_two_apps(settings), name="tokens")
        else:
            log.warning("not_connected_yet")
        await shutdown.wait()
        log.info("stopping")
    return 0


async def _warn_of_two_apps(settings: Settings) -> None:
    """Warns if the two tokens belong to different apps, because the bot token could not answer the app's events."""
    bot_token, app_token = reveal(settings.slack_bot_token), reveal(settings.slack_app_token)
    if settings.many_workspaces or not app_token:
        return
    async with slack_checks(settings.slack_api_url, settings.network()) as slack:
        for finding in await slack.same_app(bot_token, app_token):
            log.warning("tokens_of_two_apps", problem=f"{finding.name} {finding.message}")


async def migrate(settings: Settings) -> None:
    """`bobbin migrate`: brings the database to the newest schema."""
    database = Database.open(settings.database())
    try:
        await database.migrate()
    finally:
        await database.close()


async def usage(settings: Settings, since: date, by: GroupBy) -> list[Figures]:
    """`bobbin usage`: what was used since that day (UTC), in all workspaces."""
    database = Database.open(settings.database())
    try:
        await database.migrate()
        return await Ledger(database).figures(since, by)
    finally:
        await database.close()

"""The work of the commands `run`, `migrate` and `usage`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import date

from bot.app import build
from bot.config.settings import Settings
from bot.config.tracing import traces_wanted
from bot.config.unknown import unknown_settings
from bot.observability import configure_logging, get_logger
from bot.runtime.shutdown import shutdown_on_signal
from bot.timing import Timing
from bot.tracing import tracing
from bot.usage.figures import Figures, GroupBy
from handlers.rate_limits.slack_rates import RATES, Rate
from storage.engine.database import Database
from storage.ledger import Ledger

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
        return await Ledger(database).figures(since, by)
    finally:
        await database.close()

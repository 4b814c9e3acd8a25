"""What the commands do that run until somebody ends them: `run` and `sandbox`; and `migrate`."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from pydantic import SecretStr
from starlette.routing import Mount

from bot.app import build
from bot.config import Settings
from bot.errors import SettingsError
from bot.manifest import bot_scopes, manifest
from bot.observability import configure_logging, get_logger
from bot.providers.base import ProviderSettings
from bot.timing import Timing
from handlers.rate_limits.token_bucket import RATES, Rate
from storage.engine.database import Database

if TYPE_CHECKING:
    from bot.sandbox.limits import Limits

log = get_logger(__name__)

SANDBOX_CHANNELS = ("general", "random")
"""Where the bot already is in the sandbox, so that the first mention finds it."""


async def run(
    settings: Settings, timing: Timing = Timing(), rates: Mapping[str, Rate] = RATES
) -> int:
    """`bobbin run`: until SIGTERM or Ctrl-C."""
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    async with _end() as end, build(settings, timing=timing, rates=rates) as bot:
        if await bot.transport.until_connected():
            log.info("connected")
        else:
            log.warning("not_connected_yet")
        await end.wait()
        log.info("stopping")
    return 0


async def sandbox(
    settings: Settings,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str, str], None],
    limits: Limits | None = None,
) -> None:
    """`bobbin sandbox`: a local Slack and the bot in it, until SIGTERM or Ctrl-C.

    `on_ready` is told the addresses of the page and of the bot's HTTP side. `limits`: what this Slack allows;
    by default what Slack does.
    """
    from bot.sandbox.models.server import create_models_app
    from bot.sandbox.server import Sandbox

    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    app = manifest()
    features = app["features"]
    async with (
        _end() as end,
        Sandbox(
            limits=limits,
            host=host,
            port=port,
            scopes=bot_scopes(),
            events=app["settings"]["event_subscriptions"]["bot_events"],
            commands=features.get("slash_commands", ()),
            shortcuts=features.get("shortcuts", ()),
            mounts=[Mount("/models/v1", create_models_app())],
        ) as slack,
    ):
        changes: dict[str, object] = {
            "slack_bot_token": SecretStr(slack.bot_token),
            "slack_app_token": SecretStr(slack.app_token),
            "slack_api_url": slack.api_url,
        }
        for channel in SANDBOX_CHANNELS:
            await slack.conversations.join(slack.bot_user.id, channel)
        if (
            "port" not in settings.model_fields_set
        ):  # another bot on this machine may have the usual one
            changes["port"] = 0
        demo = ProviderSettings("demo", "Demo models", f"{slack.url}/models/v1")
        async with build(settings.changed(**changes), demo) as bot:
            if not await bot.transport.until_connected():
                raise SettingsError("the bot could not connect to its own sandbox")
            on_ready(slack.url, bot.url)
            await end.wait()


async def migrate(settings: Settings) -> None:
    """`bobbin migrate`."""
    database = Database.open(settings.database())
    try:
        await database.migrate()
    finally:
        await database.close()


class _End:
    """Told by SIGTERM or Ctrl-C. What is still opening is given up; what is open closes with grace."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._opening = asyncio.current_task()

    def come(self) -> None:
        self._event.set()
        if self._opening is not None:
            self._opening.cancel()

    async def wait(self) -> None:
        """All is open now: wait for the end."""
        self._opening = None
        # What is loaded stays for good. A collection that looks at all of it stops every answer for 0.1 to 0.3 s, and a
        # storm of answers makes several: a third of its processor time. What comes later is looked at less often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)
        await self._event.wait()

    @property
    def has_come(self) -> bool:
        return self._event.is_set()


@asynccontextmanager
async def _end() -> AsyncIterator[_End]:
    end, loop = _End(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, end.come)
    try:
        yield end
    except asyncio.CancelledError:
        if not end.has_come:
            raise

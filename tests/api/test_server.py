"""The addresses on which the HTTP server listens, and those it refuses."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from bot.api.middleware import StartupApp
from bot.api.server import address_problem, serves_bot, serving
from bot.errors import SettingsError


async def test_port_0_picks_a_free_port_and_a_taken_port_is_a_settings_error() -> None:
    async with serving(Starlette(), "127.0.0.1", 0) as url:
        port = int(url.removeprefix("http://127.0.0.1:"))
        with pytest.raises(SettingsError, match=f"PORT {port} on HOST 127.0.0.1"):
            await serving(Starlette(), "127.0.0.1", port).__aenter__()


@pytest.mark.parametrize(
    "host", ["no.such.host.invalid", "http://h", "a..b", "192.0.2.1", "2001:db8::1"]
)
async def test_a_host_that_is_no_address_is_a_settings_error(host: str) -> None:
    with pytest.raises(SettingsError, match=f"HOST {re.escape(host)} is no address"):
        await serving(Starlette(), host, 0).__aenter__()
    assert f"HOST {host} is no address" in str(address_problem(host, 0))


@pytest.mark.parametrize(("app", "is_bot"), [(StartupApp(), True), (Starlette(), False)])
async def test_a_running_bot_is_told_from_other_programs(app: ASGIApp, is_bot: bool) -> None:
    """The doctor may run while the bot is running."""
    async with serving(app, "127.0.0.1", 0) as url:
        port = int(url.removeprefix("http://127.0.0.1:"))
        assert address_problem("127.0.0.1", port) is not None
        assert await serves_bot("127.0.0.1", port) is is_bot

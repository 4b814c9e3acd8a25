"""The addresses on which the HTTP server listens, and those it refuses."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette

from bot.api.server import serving
from bot.errors import SettingsError


async def test_port_0_picks_a_free_port_and_a_taken_port_is_a_settings_error() -> None:
    async with serving(Starlette(), "127.0.0.1", 0) as url:
        port = int(url.removeprefix("http://127.0.0.1:"))
        with pytest.raises(SettingsError, match=f"PORT {port} on HOST 127.0.0.1"):
            await serving(Starlette(), "127.0.0.1", port).__aenter__()


async def test_a_host_that_is_no_address_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=r"HOST no\.such\.host\.invalid is no address"):
        await serving(Starlette(), "no.such.host.invalid", 0).__aenter__()

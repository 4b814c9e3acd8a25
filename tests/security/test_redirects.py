"""An API key is sent only to the configured server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.api.server import serving
from bot.domain import ModelRef
from bot.errors import ProviderError
from bot.providers import base, registry, transport
from bot.providers.base import ProviderSettings
from tests.handlers.world import KEY


def everywhere(endpoint: Callable[[Request], Awaitable[Response]]) -> Starlette:
    return Starlette(routes=[Route("/{any:path}", endpoint, methods=["GET", "POST"])])


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that collects keys: its address, and the headers that arrived."""
    received: list[str] = []

    async def listen(request: Request) -> Response:
        received.append(str(request.headers))
        return Response()

    async with serving(
        Starlette(routes=[Route("/{any:path}", listen, methods=["GET", "POST"])]), "127.0.0.1", 0
    ) as url:
        yield url, received


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_a_model_server_is_not_followed(
    elsewhere: tuple[str, list[str]], status: int
) -> None:
    target, received = elsewhere
    asked: list[str] = []

    async def redirect(request: Request) -> Response:
        asked.append(request.headers["authorization"])
        return RedirectResponse(f"{target}{request.url.path}", status)

    async with serving(
        Starlette(routes=[Route("/{any:path}", redirect, methods=["GET", "POST"])]), "127.0.0.1", 0
    ) as url:
        settings = ProviderSettings("openai", "A server", f"{url}/v1", api_key=KEY)
        async with transport.create_client() as client:
            provider = registry.create_provider(client, settings)
            with pytest.raises(ProviderError):
                await provider.ping()
            with pytest.raises(ProviderError):
                [
                    event
                    async for event in provider.stream(
                        base.ModelRequest(ModelRef("openai", "m"), "", ())
                    )
                ]
    assert set(asked) == {f"Bearer {KEY}"}
    assert len(asked) >= 2
    assert received == []

"""Tool servers that want a token of an authorization server: real ones, on this machine."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from mcp.server.auth.settings import AuthSettings

from bot.domain.tool_calls import ToolOutcome
from bot.tools.config import parse_tool_config
from bot.tools.servers import ToolServers, describe
from tests.deadlines import WAIT_TIMEOUT, until
from tests.services import free_port
from tests.tools.authorization_server import CLIENT, SECRET, AuthorizationServer
from tests.tools.servers import CountingServer


@asynccontextmanager
async def guarded(tmp_path: Path, login: AuthorizationServer) -> AsyncIterator[str]:
    """A tool server that takes this authorization server's tokens only; yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = AuthSettings.model_validate(
        {
            "issuer_url": login.url,
            "resource_server_url": f"{url}/mcp",
            "required_scopes": ["tools"],
            "validate_token_resource": False,
        }
    )
    server = CountingServer(tmp_path / "effects", auth=settings, token_verifier=login)
    async with server.over_http(port) as address:
        yield address


def servers_of(login: AuthorizationServer, secret: str = SECRET, **urls: str) -> ToolServers:
    """Named servers, all with the same credentials but `open`."""
    oauth = {"clientId": CLIENT, "clientSecret": secret, "issuer": login.url, "scope": "tools more"}
    named = {
        name: {"url": url} | ({} if name == "open" else {"oauth": oauth})
        for name, url in urls.items()
    }
    return ToolServers(parse_tool_config(json.dumps({"mcpServers": named}), {}))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_token_is_obtained_used_and_renewed(tmp_path: Path, method: str) -> None:
    """One token for all requests, a new one when it is refused or has expired; calls do not wait for each other."""
    async with (
        AuthorizationServer(methods=(method,)).running() as login,
        guarded(tmp_path, login) as url,
    ):
        servers = servers_of(login, web=url)
        async with servers.running():
            await servers.ready(WAIT_TIMEOUT)
            look = servers.tools["web__look"]
            assert (await servers.call(look, {"at": "one"}, WAIT_TIMEOUT)).text == "There is one."
            assert len(login.asked) == 1
            assert login.asked[0]["grant_type"] == "client_credentials"
            assert login.asked[0]["scope"] == "tools more"
            assert login.asked[0]["resource"] == url

            login.valid.clear()  # the server has forgotten it
            login.lifetime = -100  # and the next one has expired on arrival
            assert (await servers.call(look, {"at": "two"}, WAIT_TIMEOUT)).text == "There is two."
            assert len(login.asked) == 2
            login.lifetime = 3600
            assert (await servers.call(look, {"at": "3"}, WAIT_TIMEOUT)).text == "There is 3."
            assert len(login.asked) == 3
            assert login.valid == {"token-2", "token-3"}

            hanging = asyncio.create_task(
                servers.call(servers.tools["web__hang_reading"], {}, WAIT_TIMEOUT)
            )
            await until(lambda: "hang" in (tmp_path / "effects").read_text())
            assert (await servers.call(look, {"at": "4"}, WAIT_TIMEOUT)).text == "There is 4."
            hanging.cancel()


async def test_a_wrong_secret_and_a_hung_authorization_server_are_one_clear_line(
    tmp_path: Path, log: io.StringIO
) -> None:
    """In doctor's output and in the log, without the secret; no other server is affected."""
    async with AuthorizationServer().running() as login, guarded(tmp_path, login) as url:
        other = CountingServer(tmp_path / "others")
        async with other.over_http() as open_url:
            wrong = servers_of(login, "wr0ng secret", web=url, open=open_url)
            async with wrong.running():
                await wrong.ready(WAIT_TIMEOUT)
                health = {each.name: describe(each) for each in wrong.health()}
                assert "refuses the client: check clientId, clientSecret" in health["web"]
                assert "look" in health["open"]
            assert "refuses the client" in log.getvalue()
            assert "wr0ng" not in log.getvalue()

            login.hangs = True
            hung = servers_of(login, web=url, open=open_url)
            async with hung.running():
                await until(lambda: "open__look" in hung.tools)
                seen = await hung.call(hung.tools["open__look"], {"at": "it"}, WAIT_TIMEOUT)
                assert seen.outcome is ToolOutcome.DONE
                await hung.ready(WAIT_TIMEOUT)
                health = {each.name: describe(each) for each in hung.health()}
                assert health["web"].startswith("its authorization server cannot be reached")

            login.hangs = False
            elsewhere = AuthorizationServer()
            elsewhere.url = "http://127.0.0.1:9"
            foreign = servers_of(elsewhere, web=url)
            async with foreign.running():
                await foreign.ready(WAIT_TIMEOUT)
                (health_of_web,) = (describe(each) for each in foreign.health())
                assert "check that oauth.issuer" in health_of_web


async def test_a_redirect_never_forwards_credentials(tmp_path: Path) -> None:
    """Neither headers nor calls follow it to another server."""
    got: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        got.append(request.path)
        return web.Response(status=307, headers={"Location": request.headers["X-To"]})

    elsewhere = CountingServer(tmp_path / "effects")
    port = free_port()
    server = web.ServerRunner(web.Server(answer))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", port).start()
    try:
        async with elsewhere.over_http() as url:
            headers = {"Authorization": "Bearer s3cret", "X-To": url}
            named = {"web": {"url": f"http://127.0.0.1:{port}/mcp", "headers": headers}}
            servers = ToolServers(parse_tool_config(json.dumps({"mcpServers": named}), {}))
            async with servers.running():
                await servers.ready(WAIT_TIMEOUT)
                assert not servers.tools
                (told,) = (describe(each) for each in servers.health())
                assert told == "answers HTTP 307: check the url"
    finally:
        await server.cleanup()
    assert got

"""Tool servers that work, are down, slow or dying: real ones, over both transports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from bot.domain.tool_calls import Permission, ToolOutcome
from bot.tools.config import ToolConfig, parse_tool_config
from bot.tools.results import MAX_RESULT
from bot.tools.servers import ToolServers, describe
from tests.deadlines import WAIT_TIMEOUT, until
from tests.services import free_port
from tests.tools.proxy_before import ProxyBefore, Reply
from tests.tools.servers import CountingServer


def config(**servers: object) -> ToolConfig:
    return parse_tool_config(json.dumps({"mcpServers": servers}), {})


async def test_tools_of_all_servers_are_listed_and_called(tmp_path: Path) -> None:
    """Results are limited, failures belong to the tool, and servers that are down affect no others."""
    server = CountingServer(tmp_path / "effects")
    async with server.over_http() as url:
        named = {"deny": ["put"], "allow": ["grow"], "url": url}
        servers = ToolServers(
            config(web=named, gone={"command": "nonesuch"}, away={"url": "http://127.0.0.1:9/mcp"})
        )
        async with servers.running():
            await servers.ready(WAIT_TIMEOUT)
            tools = servers.tools

            assert tools["web__look"].permission is Permission.RUNS
            assert tools["web__add"].permission is Permission.ASKS
            assert "web__put" not in tools
            assert tools["web__look"].repeatable
            assert not tools["web__add"].repeatable
            seen = await servers.call(tools["web__look"], {"at": "a cat"}, WAIT_TIMEOUT)
            assert (seen.outcome, seen.text) == (ToolOutcome.DONE, "There is a cat.")
            big = await servers.call(tools["web__big"], {}, WAIT_TIMEOUT)
            assert big.text.endswith(f"[Cut here: this is {MAX_RESULT} of 5000000 characters]")
            failed = await servers.call(tools["web__fail"], {}, WAIT_TIMEOUT)
            assert failed.outcome is ToolOutcome.FAILED
            assert "no such thing" in failed.text
            wrong = await servers.call(tools["web__add"], {"wrong": 1}, WAIT_TIMEOUT)
            assert wrong.outcome is ToolOutcome.FAILED
            late = await servers.call(tools["web__hang"], {}, 0.5)
            assert late.outcome is ToolOutcome.UNKNOWN

            await servers.call(tools["web__grow"], {}, WAIT_TIMEOUT)
            await until(lambda: "web__grown" in servers.tools)

            health = {each.name: describe(each) for each in servers.health()}
            assert "asks: add" in health["web"]
            assert "denied: put" in health["web"]
            assert health["gone"].startswith("the command is not found")
            assert health["away"].startswith("cannot be reached")
    assert server.effects.count("look a cat") == 1


async def test_a_cancelled_call_is_cancelled_at_the_server(tmp_path: Path) -> None:
    """Stopping an answer stops what its tool is doing."""
    server = CountingServer(tmp_path / "effects")
    async with server.over_http() as url:
        servers = ToolServers(config(web={"url": url}))
        async with servers.running():
            await servers.ready(WAIT_TIMEOUT)
            call = asyncio.create_task(servers.call(servers.tools["web__hang"], {}, WAIT_TIMEOUT))
            await server.hanging.wait()

            call.cancel()

            async with asyncio.timeout(WAIT_TIMEOUT):
                await server.cancelled.wait()
            assert "web__look" in servers.tools


async def test_a_server_that_dies_in_a_call_and_comes_back_is_used_again(tmp_path: Path) -> None:
    """A call that may have taken effect is unknown, and the connection is reopened."""
    port = free_port()
    server = CountingServer(tmp_path / "effects")
    servers = ToolServers(config(web={"url": f"http://127.0.0.1:{port}/mcp"}), first_pause=0.05)
    async with servers.running():
        async with AsyncExitStack() as life:
            await life.enter_async_context(server.over_http(port))
            await until(lambda: "web__hang" in servers.tools)
            call = asyncio.create_task(servers.call(servers.tools["web__hang"], {}, WAIT_TIMEOUT))
            await server.hanging.wait()
        assert (await call).outcome is ToolOutcome.UNKNOWN
        await until(lambda: not servers.tools)

        again = CountingServer(tmp_path / "effects")
        async with again.over_http(port):
            await until(lambda: "web__look" in servers.tools)
            seen = await servers.call(servers.tools["web__look"], {}, WAIT_TIMEOUT)
            assert seen.outcome is ToolOutcome.DONE


REPLIES: dict[str, tuple[Reply, ToolOutcome]] = {
    "a page with 200": (Reply(200, b"<html>"), ToolOutcome.UNKNOWN),
    "half a response": (
        Reply(200, b'{"jsonrpc": "2.0", ', "application/json"),
        ToolOutcome.UNKNOWN,
    ),
    "half an event": (Reply(200, b"data: {\n\n", "text/event-stream"), ToolOutcome.UNKNOWN),
    "an empty stream": (Reply(200, b"", "text/event-stream"), ToolOutcome.UNKNOWN),
    "accepted": (Reply(202), ToolOutcome.UNKNOWN),
    "forbidden": (Reply(403, b"<html>"), ToolOutcome.UNKNOWN),
    "gone": (Reply(410, b"<html>"), ToolOutcome.UNKNOWN),
    "a bad gateway": (Reply(502, b"<html>"), ToolOutcome.UNKNOWN),
    "not found": (Reply(404, b"<html>", delivered=False), ToolOutcome.FAILED),
}
"""What a proxy responds in place of the server, and the resulting outcome of the call."""


@pytest.mark.parametrize("with_sessions", [True, False], ids=["sessions", "no sessions"])
async def test_what_a_proxy_says_in_place_of_the_server_is_not_the_servers_refusal(
    tmp_path: Path, with_sessions: bool
) -> None:
    """A call that may have taken effect is unknown, and the server is used again immediately, whatever the response
    was.
    """
    server = CountingServer(tmp_path / "effects")
    proxies = list[ProxyBefore]()

    def behind(app: ASGIApp) -> ASGIApp:
        proxies.append(ProxyBefore(app, with_sessions=with_sessions))
        return proxies[0]

    async with server.over_http(behind=behind) as url:
        servers = ToolServers(config(web={"url": url}), first_pause=0.05)
        async with servers.running():
            outcomes = dict[str, ToolOutcome]()
            for name, (reply, _) in REPLIES.items():
                await until(lambda: "web__add" in servers.tools)
                proxies[0].reply = reply
                add = servers.tools["web__add"]
                outcomes[name] = (await servers.call(add, {"text": name}, WAIT_TIMEOUT)).outcome
                await looked(servers)
    assert outcomes == {name: outcome for name, (_, outcome) in REPLIES.items()}
    assert server.effects.count("look ") >= len(REPLIES)


async def looked(servers: ToolServers) -> None:
    """Until a call that changes nothing succeeds; a connection that is just ending may take the first one."""
    outcome: ToolOutcome | None = None
    async with asyncio.timeout(WAIT_TIMEOUT):
        while outcome is not ToolOutcome.DONE:
            await until(lambda: "web__look" in servers.tools)
            outcome = (await servers.call(servers.tools["web__look"], {}, WAIT_TIMEOUT)).outcome


HOLD = """
import asyncio, json, sys
from bot.tools.config import parse_tool_config
from bot.tools.servers import ToolServers

async def main():
    servers = ToolServers(parse_tool_config(sys.argv[1], {}))
    async with servers.running():
        await asyncio.sleep(0)
        while "time__get_current_time" not in servers.tools:
            await asyncio.sleep(0.02)
        result = await servers.call(servers.tools["time__get_current_time"], {"timezone": "Asia/Tokyo"}, 60)
        print(json.loads(result.text)["timezone"], flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_local_server_ends_with_its_process_even_by_kill_9(tmp_path: Path) -> None:
    """A third-party server works; and nothing that the bot started outlives it, even a server that reads no input."""
    deaf = tmp_path / "deaf.py"
    deaf.write_text("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                    "import os, sys\nprint(os.getpid(), file=open(sys.argv[1], 'w'))\n"
                    "signal.pause()\n")  # fmt: skip
    pid_file = tmp_path / "pid"
    servers = {
        "time": {"command": sys.executable, "args": ["-m", "mcp_server_time"]},
        "deaf": {"command": sys.executable, "args": [str(deaf), str(pid_file)]},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, json.dumps({"mcpServers": servers}), stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_TIMEOUT):
        while await process.stdout.readline() != b"Asia/Tokyo\n":
            pass
    await until(lambda: pid_file.exists() and pid_file.read_text() != "")
    child = int(pid_file.read_text())

    process.send_signal(signal.SIGKILL)
    await process.wait()

    deadline = time.monotonic() + WAIT_TIMEOUT
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert not Path(f"/proc/{child}").exists()


async def test_a_local_server_gets_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Slack token, no model key: only what the file says, and what any program needs."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1-secret")
    listing = tmp_path / "environment"
    spy = f"env > {listing}.part && mv {listing}.part {listing}"
    servers = ToolServers(
        config(spy={"command": "sh", "args": ["-c", spy], "env": {"OWN": "yes"}}), first_pause=30.0
    )
    async with servers.running():
        await until(listing.exists)

    seen = {line.partition("=")[0] for line in listing.read_text().splitlines()}
    allowed = {
        "HOME",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TERM",
        "USER",
        "OWN",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
        "LC_CTYPE",
    }
    assert "OWN" in seen
    assert seen <= allowed

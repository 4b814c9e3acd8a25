"""Downloads of files from well-behaved and broken servers: only Slack sees the token, and every download ends."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.domain import SharedFile
from bot.errors import FileProblem
from bot.observability import Metrics
from bot.runtime.memory import MemoryBudget, MemoryReservation
from bot.timing import Timing
from handlers.client.errors import NotInstalled
from handlers.client.files import SlackFiles, TrustedHosts
from handlers.client.http_session import new_session, new_web_client
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import SingleWorkspace
from handlers.rate_limits.dispatcher import CallDispatcher
from storage.action_claims import ActionClaims
from storage.engine.database import Database

HELD = MemoryReservation(MemoryBudget(limit=10_000_000_000))
"""Of a workspace that may hold all that the tests download."""
TOKEN = "xoxb-secret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A real HTTP server that records each request: path and Authorization header."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, str | None]] = []
        self.pages: dict[str, Handler] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.headers.get("Authorization")))
        return await self.pages[request.path](request)

    def serves(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Sets the response to this path; returns the URL."""

        async def page(_: web.Request) -> web.Response:
            return web.Response(
                body=body,
                status=status,
                headers={k.replace("_", "-"): v for k, v in headers.items()},
            )

        self.pages[path] = page
        return self.url + path


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server("")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def slack() -> AsyncIterator[Server]:
    """The server that takes the place of Slack."""
    async with serving() as server:
        yield server


@pytest.fixture
async def stranger() -> AsyncIterator[Server]:
    """A server that is not Slack's."""
    async with serving() as server:
        yield server


@pytest.fixture
async def source(slack: Server) -> AsyncIterator[SlackFiles]:
    timing = Timing(file_retry_delays=(0.01, 0.02), file_read_timeout=0.3)
    database = Database.open("sqlite://")
    async with new_session() as session:
        client = new_web_client(TOKEN, f"{slack.url}/api/", session)
        only = workspace(client, session, ActionClaims(database))
        yield SlackFiles(only, f"{slack.url}/api/", timing)
    await database.close()


class OnlyTeam(SingleWorkspace):
    """The only workspace that has installed the app."""

    async def client_for(self, team: str) -> SlackClient:
        if team != self.only.team:
            raise NotInstalled(team)
        return self.only


def workspace(
    client: AsyncWebClient, session: aiohttp.ClientSession, claims: ActionClaims
) -> OnlyTeam:
    only = SlackClient(
        client,
        team="T1",
        bot_user="UBOT",
        dispatcher=CallDispatcher(),
        metrics=Metrics(),
        session=session,
        claims=claims,
    )
    return OnlyTeam(only, TOKEN)


def file(
    url: str | None, name: str = "a.bin", mime: str = "", size: int | None = None
) -> SharedFile:
    return SharedFile("F1", name, mime, size, url)


async def problem_of(source: SlackFiles, wanted: SharedFile, most: int = 1000) -> str:
    with pytest.raises(FileProblem) as caught:
        await source.fetch("T1", wanted, most, HELD)
    return caught.value.code


async def test_a_file_is_downloaded_with_the_workspaces_token(
    source: SlackFiles, slack: Server
) -> None:
    fetched = await source.fetch("T1", file(slack.serves("/f", b"bytes")), 1000, HELD)

    assert (fetched.data, fetched.truncated) == (b"bytes", False)
    assert slack.asked == [("/f", f"Bearer {TOKEN}")]


async def test_a_download_stops_at_the_wanted_number_of_bytes(
    source: SlackFiles, slack: Server
) -> None:
    """With a body that never ends, and with a compressed one that becomes huge."""
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)
            written += 100_000

    slack.pages["/endless"] = endless
    packed = slack.serves("/packed", gzip.compress(b"y" * 50_000_000), Content_Encoding="gzip")

    first = await source.fetch("T1", file(f"{slack.url}/endless"), 1_000_000, HELD)
    second = await source.fetch("T1", file(packed), 1_000_000, HELD)

    assert (len(first.data), first.truncated) == (1_000_000, True)
    assert (len(second.data), second.truncated) == (1_000_000, True)
    assert written < 50_000_000


async def test_a_server_that_stops_sending_is_given_up_after_the_retries(
    source: SlackFiles, slack: Server
) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"some")
        await asyncio.sleep(10)
        return response

    slack.pages["/silent"] = silent
    assert await problem_of(source, file(f"{slack.url}/silent")) == "unreachable"
    assert len(slack.asked) == 3


async def test_a_temporary_failure_is_retried(source: SlackFiles, slack: Server) -> None:
    answers = iter([503, 429, 200])

    async def better(_: web.Request) -> web.Response:
        return web.Response(status=next(answers), body=b"here")

    slack.pages["/f"] = better
    assert (await source.fetch("T1", file(f"{slack.url}/f"), 1000, HELD)).data == b"here"


@pytest.mark.parametrize(
    ("status", "code"), [(401, "no_access"), (403, "no_access"), (404, "gone"), (410, "gone")]
)
async def test_a_lasting_refusal_is_not_retried(
    source: SlackFiles, slack: Server, status: int, code: str
) -> None:
    assert await problem_of(source, file(slack.serves("/f", status=status))) == code
    assert len(slack.asked) == 1


async def test_a_workspace_without_the_app_has_no_files(source: SlackFiles, slack: Server) -> None:
    with pytest.raises(FileProblem):
        await source.fetch("T2", file(slack.serves("/f")), 1000, HELD)
    assert slack.asked == []


# -- pages to sign in at -----------------------------------------------------------------------------------------------

LOGIN = b"<!DOCTYPE html><html><title>Sign in</title></html>"


async def test_a_login_page_is_not_taken_for_the_file(source: SlackFiles, slack: Server) -> None:
    page = slack.serves("/login", LOGIN, Content_Type="text/html; charset=utf-8")
    away = slack.serves("/away", status=302, Location="/login")
    marked = slack.serves("/marked", b"anything", x_slack_meta="acl_fail")

    for url in (page, away, marked):
        assert await problem_of(source, file(url, "a.png", "image/png")) == "no_access"
    assert (
        await problem_of(source, file(page, "a.html", "text/html", size=len(LOGIN) + 1))
        == "no_access"
    )


async def test_a_shared_html_page_is_downloaded_like_any_file(
    source: SlackFiles, slack: Server
) -> None:
    page = slack.serves("/page", LOGIN, Content_Type="text/html")
    fetched = await source.fetch(
        "T1", file(page, "a.html", "text/html", size=len(LOGIN)), 1000, HELD
    )
    assert fetched.data == LOGIN


# -- addresses ---------------------------------------------------------------------------------------------------------


async def test_no_request_goes_to_a_host_that_is_not_slacks(
    source: SlackFiles, slack: Server, stranger: Server
) -> None:
    """Neither directly nor by a redirect of Slack's; redirects among Slack's own hosts are followed."""
    there = stranger.serves("/secret", b"secret")
    for url in (
        there,
        slack.serves("/to", status=302, Location=there),
        slack.serves("/x", status=307, Location=there),
    ):
        assert await problem_of(source, file(url)) == "external"
    assert stranger.asked == []

    slack.serves("/there", b"moved")
    assert (
        await source.fetch(
            "T1", file(slack.serves("/here", status=302, Location="/there")), 1000, HELD
        )
    ).data == b"moved"


async def test_a_redirect_loop_ends(source: SlackFiles, slack: Server) -> None:
    assert (
        await problem_of(source, file(slack.serves("/round", status=302, Location="/round")))
        == "unreachable"
    )
    assert len(slack.asked) == 5


OURS = [
    "https://slack.com/a",
    "https://files.slack.com/files-pri/T1-F1/a.png",
    "https://FILES.Slack.com:443/a",
    "https://acme.enterprise.slack.com/a",
    "https://a.slack-edge.com/b",
    "http://127.0.0.1:9999/files/a",
]
FOREIGN = [
    "http://files.slack.com/a",
    "https://files.slack.com:8443/a",
    "https://files.slack.com.evil.example/a",
    "https://evilslack.com/a",
    "https://slack.com@evil.example/a",
    "https://user:pass@files.slack.com/a",
    "https://evil.example/slack.com",
    "https://evil.example#slack.com",
    "https://evil.example\\.slack.com/a",
    "https://files.slack.com\t.evil.example/a",
    "//files.slack.com/a",
    "ftp://files.slack.com/a",
    "file:///etc/passwd",
    "https://127.0.0.1:9999/files/a",
    "http://127.0.0.1:9998/a",
    "http://localhost:9999/a",
    "http://169.254.169.254/latest",
    "https://[::1]/a",
    "https://files.slack.com:port/a",
    "",
]


def trusts(url: str) -> bool:
    return TrustedHosts("http://127.0.0.1:9999/api/").trusts(url)


@pytest.mark.parametrize("url", OURS)
def test_slacks_own_addresses_are_trusted(url: str) -> None:
    assert trusts(url)


@pytest.mark.parametrize("url", FOREIGN)
def test_other_addresses_are_not_trusted(url: str) -> None:
    assert not trusts(url)


PIECES = [
    "slack.com",
    "slack-edge.com",
    "files.",
    ".",
    "@",
    ":",
    "/",
    "//",
    "#",
    "?",
    "\\",
    "%",
    " ",
    "\t",
    "443",
    "x",
    "evil",
]


@given(
    st.sampled_from(["https://", "http://", "https:", ""]),
    st.lists(st.sampled_from(PIECES), max_size=8),
)
def test_every_trusted_address_leads_to_a_host_of_slacks(scheme: str, rest: list[str]) -> None:
    """Checked with aiohttp's own parsing of the URL (yarl), which decides where the request goes."""
    url = scheme + "".join(rest)
    if trusts(url):
        asked = URL(url)
        assert f".{asked.host}".endswith((".slack.com", ".slack-edge.com"))
        assert (asked.scheme, asked.port) == ("https", 443)

"""Fetching what people shared: from Slack's hosts alone, no more than is wanted, the token shown to nobody else."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

from bot.chats.attachments.loader import FetchedFile
from bot.chats.attachments.rules import lacks_thumb
from bot.domain import SharedFile
from bot.errors import FileProblem
from bot.observability import get_logger
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.views import payloads

log = get_logger(__name__)

HOSTS = ("slack.com", "slack-edge.com", "slack-gov.com")
"""Slack's own, with all that ends in them."""
REDIRECTS = 4
PAUSES = (0.5, 1.5, 4.0)
"""Seconds before a file is asked for again that Slack could not give, or that was not there yet."""
PATIENCE = 15.0
"""Seconds that Slack may take to describe a file."""
TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5, sock_read=15)
_CHUNK = 64 * 1024
_HERE = frozenset({"hosted", "snippet", "space", ""})
"""Modes of files that Slack keeps."""
_LOGIN = re.compile(
    rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head)\b", re.IGNORECASE | re.DOTALL
)
_CODES = {"missing_scope": "no_access", "not_allowed_token_type": "no_access", "access_denied": "no_access",
          "file_not_found": "gone", "file_deleted": "gone", "not_visible": "no_access"}  # fmt: skip


class _Later(Exception):
    """It may succeed in a moment."""


class SlackFiles:
    """The `Source` of shared files (`bot.chats.attachments.loader`)."""

    def __init__(self, workspaces: WorkspaceResolver, api_url: str) -> None:
        self._workspaces = workspaces
        self._trusted = TrustedHosts(api_url)

    async def describe(self, team: str, file: SharedFile) -> SharedFile:
        """What Slack knows of it now, where its event did not tell where it is. Raises FileProblem."""
        slack = await self._slack(team)
        for pause in (*PAUSES, None):
            if file.mode not in _HERE or not (file.url is None or lacks_thumb(file)):
                return file
            file = await self._ask(slack, file)
            if pause is not None and (file.url is None or lacks_thumb(file)):
                await asyncio.sleep(pause)  # it is still being uploaded, or looked at
        if file.url is None and file.mode in _HERE:
            raise FileProblem("unreachable")
        return file

    async def fetch(
        self, team: str, file: SharedFile, most: int, *, thumb: bool = False
    ) -> FetchedFile:
        """Raises FileProblem."""
        slack = await self._slack(team)
        url = file.thumb if thumb else file.url
        for pause in (*PAUSES, None):
            try:
                return await self._fetch(slack, file, url or "", most, thumb=thumb)
            except (_Later, aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = (
                    str(error) if isinstance(error, _Later) else type(error).__name__
                )  # others may name the file
                log.info("file_not_fetched", reason=reason)
                if pause is None:
                    break
                await asyncio.sleep(pause)
        raise FileProblem("unreachable")

    async def _slack(self, team: str) -> SlackClient:
        try:
            return await self._workspaces.client_for(team)
        except NotInstalled:
            raise FileProblem("no_access") from None

    async def _ask(self, slack: SlackClient, file: SharedFile) -> SharedFile:
        try:
            told = (await slack.call_with_retry("files.info", patience=PATIENCE, file=file.id)).get(
                "file"
            )
        except SlackRejected as error:
            raise FileProblem(_CODES.get(error.code, "unreachable")) from error
        except SlackError as error:
            raise FileProblem("unreachable") from error
        found = payloads.shared_file(told)
        return file if found is None else replace(found, id=file.id)

    async def _fetch(
        self, slack: SlackClient, file: SharedFile, url: str, most: int, *, thumb: bool
    ) -> FetchedFile:
        """One try, redirects followed by hand. Raises FileProblem, or what may be better in a moment."""
        for _ in range(REDIRECTS + 1):
            if not self._trusted.trusts(url):
                log.warning("file_elsewhere", host=urlsplit(url).hostname)
                raise FileProblem("external")
            async with slack.get(url, TIMEOUT) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    url = urljoin(url, response.headers["Location"])
                    continue
                _judge(response)
                fetched = await _read(response, most)
            if _is_login_page(response, fetched, file, thumb=thumb):
                raise FileProblem("no_access")
            return fetched
        raise FileProblem("unreachable")


class TrustedHosts:
    """The addresses to which the workspace's token may be sent."""

    def __init__(self, api_url: str) -> None:
        self._api_origin = _origin(urlsplit(api_url))

    def trusts(self, url: str) -> bool:
        """Whether the address is one of Slack's own, or on the server whose Web API the settings name."""
        try:
            parts = urlsplit(url)
            origin = _origin(parts)
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None or re.search(r"[\s\\]", url):
            return False
        if origin == self._api_origin:
            return True
        scheme, host, port = origin
        return (
            scheme == "https"
            and port == 443
            and any(host == own or host.endswith(f".{own}") for own in HOSTS)
        )


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    """Raises ValueError for a port that is none."""
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or usual


def _judge(response: aiohttp.ClientResponse) -> None:
    """Raises FileProblem for what will stay so, `_Later` for what may not."""
    if response.status in (401, 403):
        raise FileProblem("no_access")
    if response.status in (404, 410):
        raise FileProblem("gone")
    if response.status != 200:
        raise _Later(f"HTTP {response.status}")


async def _read(response: aiohttp.ClientResponse, most: int) -> FetchedFile:
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > most:
            return FetchedFile(bytes(data[:most]), truncated=True)
    return FetchedFile(bytes(data))


def _is_login_page(
    response: aiohttp.ClientResponse, fetched: FetchedFile, file: SharedFile, *, thumb: bool
) -> bool:
    """Slack's way of saying no: HTTP 200, and a page to sign in at. A shared HTML file has the size it should have."""
    if response.headers.get("x-slack-meta") == "acl_fail":
        return True
    if not _LOGIN.match(fetched.data) or "html" not in response.content_type:
        return False
    if thumb or "html" not in file.mime:
        return True
    return file.size is not None and not fetched.truncated and len(fetched.data) != file.size

"""Downloads shared files: only from Slack's hosts, so that no other host gets the token, and no more bytes than
wanted.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp

from bot.chats.attachments.file_source import FetchedFile
from bot.chats.attachments.rules import lacks_thumb
from bot.domain import SharedFile
from bot.errors import FileProblem
from bot.observability import get_logger
from bot.runtime.memory import MemoryReservation
from bot.timing import Timing
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.views import message_content

log = get_logger(__name__)

TRUSTED_DOMAINS = ("slack.com", "slack-edge.com", "slack-gov.com")
"""Slack's own domains, with all their subdomains."""
MAX_REDIRECTS = 4
DESCRIBE_TIMEOUT = 15.0
"""Seconds for which files.info is repeated for a file that Slack is still receiving."""
CONNECT_TIMEOUT = 5.0
_CHUNK_BYTES = 64 * 1024
_HOSTED_MODES = frozenset({"hosted", "snippet", "space", ""})
"""Modes of files that Slack itself stores."""
_LOGIN_PAGE = re.compile(
    rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head)\b", re.IGNORECASE | re.DOTALL
)
_PROBLEM_CODES = {"missing_scope": "no_access", "not_allowed_token_type": "no_access", "access_denied": "no_access",
          "file_not_found": "gone", "file_deleted": "gone", "not_visible": "no_access"}  # fmt: skip


class _TemporaryFailure(Exception):
    """The download may succeed later."""


class SlackFiles:
    """The `Source` of shared files (`bot.chats.attachments.loader`)."""

    def __init__(
        self, workspaces: WorkspaceResolver, api_url: str, timing: Timing = Timing()
    ) -> None:
        self._workspaces = workspaces
        self._retry_delays = timing.file_retry_delays
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT, sock_read=timing.file_read_timeout
        )
        self._trusted = TrustedHosts(api_url)

    async def describe(self, team: str, file: SharedFile) -> SharedFile:
        """The file as Slack describes it now, if its event did not say where to download it. Raises FileProblem."""
        slack = await self._slack(team)
        deadline = time.monotonic() + DESCRIBE_TIMEOUT
        for delay in (*self._retry_delays, None):
            if file.mode not in _HOSTED_MODES or not (file.url is None or lacks_thumb(file)):
                return file
            file = await self._ask(slack, file, deadline - time.monotonic())
            if delay is not None and (file.url is None or lacks_thumb(file)):
                await asyncio.sleep(delay)  # Slack is still receiving or processing it
        if file.url is None and file.mode in _HOSTED_MODES:
            raise FileProblem("unreachable")
        return file

    async def fetch(
        self,
        team: str,
        file: SharedFile,
        most: int,
        reservation: MemoryReservation,
        *,
        thumb: bool = False,
    ) -> FetchedFile:
        """Raises FileProblem."""
        slack = await self._slack(team)
        url = (file.thumb if thumb else file.url) or ""
        for delay in (0.0, *self._retry_delays):
            reservation.release()  # nothing is held during a pause
            await asyncio.sleep(delay)
            with _logged_failure():
                return await self._fetch(slack, file, url, most, reservation, thumb=thumb)
        raise FileProblem("unreachable")

    async def _slack(self, team: str) -> SlackClient:
        try:
            return await self._workspaces.client_for(team)
        except NotInstalled:
            raise FileProblem("no_access") from None

    async def _ask(self, slack: SlackClient, file: SharedFile, max_wait: float) -> SharedFile:
        try:
            described = (
                await slack.call_with_retry("files.info", max_wait=max_wait, file=file.id)
            ).get("file")
        except SlackRejected as error:
            raise FileProblem(_PROBLEM_CODES.get(error.code, "unreachable")) from error
        except SlackError as error:
            raise FileProblem("unreachable") from error
        found = message_content.shared_file(described)
        return file if found is None else replace(found, id=file.id)

    async def _fetch(
        self,
        slack: SlackClient,
        file: SharedFile,
        url: str,
        most: int,
        reservation: MemoryReservation,
        *,
        thumb: bool,
    ) -> FetchedFile:
        """One attempt, with redirects followed here so that each address is checked.

        Raises FileProblem, or `_TemporaryFailure`, aiohttp.ClientError, TimeoutError or OSError, which are retried.
        """
        for _ in range(MAX_REDIRECTS + 1):
            if not self._trusted.trusts(url):
                log.warning("untrusted_file_host", host=urlsplit(url).hostname)
                raise FileProblem("external")
            async with slack.download(url, self._timeout) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    url = urljoin(url, response.headers["Location"])
                    continue
                _raise_for_status(response)
                fetched = await _read(response, most, reservation)
            if _is_login_page(response, fetched, file, thumb=thumb):
                raise FileProblem("no_access")
            return fetched
        raise FileProblem("unreachable")


class TrustedHosts:
    """The addresses to which the workspace's token may be sent."""

    def __init__(self, api_url: str) -> None:
        self._api_origin = _origin(urlsplit(api_url))

    def trusts(self, url: str) -> bool:
        """Whether the address is Slack's own, or on the server whose Web API the settings name."""
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
            and any(host == own or host.endswith(f".{own}") for own in TRUSTED_DOMAINS)
        )


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises ValueError for an invalid port."""
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or usual


def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    """Raises FileProblem for permanent failures, `_TemporaryFailure` for others."""
    if response.status in (401, 403):
        raise FileProblem("no_access")
    if response.status in (404, 410):
        raise FileProblem("gone")
    if response.status != 200:
        raise _TemporaryFailure(f"HTTP {response.status}")


@contextmanager
def _logged_failure() -> Iterator[None]:
    """Logs a failure after which the download may be repeated. Messages of other errors may contain the file's name."""
    try:
        yield
    except (_TemporaryFailure, aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) if isinstance(error, _TemporaryFailure) else type(error).__name__
        log.info("file_not_fetched", reason=reason)


async def _read(
    response: aiohttp.ClientResponse, most: int, reservation: MemoryReservation
) -> FetchedFile:
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        await reservation.add(len(chunk))
        data += chunk
        if len(data) > most:
            return FetchedFile(bytes(data[:most]), truncated=True)
    return FetchedFile(bytes(data))


def _is_login_page(
    response: aiohttp.ClientResponse, fetched: FetchedFile, file: SharedFile, *, thumb: bool
) -> bool:
    """Whether Slack refused access, which it does with HTTP 200 and a login page.

    A shared HTML file is recognised by having the announced size.
    """
    if response.headers.get("x-slack-meta") == "acl_fail":
        return True
    if not _LOGIN_PAGE.match(fetched.data) or "html" not in response.content_type:
        return False
    if thumb or "html" not in file.mime:
        return True
    return file.size is not None and not fetched.truncated and len(fetched.data) != file.size

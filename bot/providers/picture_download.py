"""Fetches a picture that a model server only names: from that server itself, or over https from a public host."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import httpx

from bot.network.public_hosts import NOT_PUBLIC
from bot.observability import get_logger
from bot.providers.pictures import MAX_PICTURE_BYTES
from bot.providers.transport import PUBLIC_ONLY

log = get_logger(__name__)

TIMEOUT = 30.0
"""Seconds for one picture, including all attempts."""
_RETRY_DELAYS = (0.0, 0.5, 2.0)


async def fetch_picture(
    client: httpx.AsyncClient, address: str, base_url: str, headers: Mapping[str, str]
) -> bytes | None:
    """The picture's bytes; None if it cannot be fetched. `headers`: only for the server at `base_url`."""
    try:
        async with asyncio.timeout(TIMEOUT):
            where = urlsplit(address)
            own = _origin(where) == _origin(urlsplit(base_url))
            if not own and where.scheme != "https":
                log.warning("picture_not_https", host=where.hostname)
                return None
            return await _fetched(
                client, address, headers if own else {}, {} if own else PUBLIC_ONLY
            )
    except (TimeoutError, OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        if NOT_PUBLIC in str(error):
            log.warning("untrusted_picture_host", host=urlsplit(address).hostname)
        else:
            log.info("picture_not_fetched", reason=type(error).__name__)
        return None


async def _fetched(
    client: httpx.AsyncClient,
    address: str,
    headers: Mapping[str, str],
    extensions: Mapping[str, bool],
) -> bytes | None:
    """Retries after temporary failures. Raises httpx.HTTPError."""
    for delay in _RETRY_DELAYS:
        await asyncio.sleep(delay)
        async with client.stream(
            "GET", address, headers=headers, follow_redirects=False, extensions={**extensions}
        ) as response:
            if response.is_success:
                return await _whole(response)
            if response.status_code != 429 and response.status_code < 500:
                break
    return None


async def _whole(response: httpx.Response) -> bytes | None:
    content = bytearray()
    async for block in response.aiter_bytes():
        content += block
        if len(content) > MAX_PICTURE_BYTES:
            return None
    return bytes(content)


def _origin(where: SplitResult) -> tuple[str, str | None, int | None]:
    return where.scheme, where.hostname, where.port

"""Reads the body of a streamed response, and turns its failures into ProviderErrors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

import httpx

from bot.errors import (
    Blocked,
    InvalidResponse,
    ModelTimeout,
    OwnFault,
    ProviderError,
    StreamInterrupted,
    Unreachable,
)
from bot.providers.errors import redact
from bot.providers.stream_parser import StreamParser
from bot.providers.transport import NothingLeft, reading_paused

_CLOSE_TIMEOUT = 0.1
"""Seconds that a server gets to end its response properly, so that the connection can be reused."""
_MAX_ERROR_BYTES = 64_000
_SMALL_PIECE = 8_000
"""Bytes: after a larger piece there is no pause, however many streams there are."""
ERROR_TIMEOUT = 10.0
"""Seconds for the body of an error."""


class Body:
    """The bytes of a streamed response: to its end or, once the text is complete, until `usage_timeout` has passed."""

    def __init__(
        self,
        response: httpx.Response,
        parser: StreamParser,
        pause: Callable[[], float],
        usage_timeout: float,
    ) -> None:
        self._response = response
        self._parser = parser
        self._pause = pause
        self._usage_timeout = usage_timeout
        self._blocks = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
        self._usage_deadline: float | None = None
        self._last_was_small = False

    async def next(self) -> bytes | None:
        """The next bytes, None at the end. Raises ProviderError."""
        if self._parser.finished:
            return await self._next_before_deadline()
        if self._last_was_small and self._parser.begun and (pause := self._pause()):
            with reading_paused(self._response):
                await asyncio.sleep(pause)
        with translated_errors():
            block = await anext(self._blocks, None)
        self._last_was_small = block is not None and len(block) < _SMALL_PIECE
        return block

    async def _next_before_deadline(self) -> bytes | None:
        """The next bytes while usage may still come; None at the end, at the deadline and after an error."""
        if self._usage_deadline is None:
            self._usage_deadline = asyncio.get_running_loop().time() + self._usage_timeout
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout_at(self._usage_deadline):
                return await anext(self._blocks, None)
        return None

    def reset_usage_timeout(self) -> None:
        """More text arrived after a finish reason: some servers send one in every chunk."""
        self._usage_deadline = None

    async def read_to_end(self) -> None:
        """Reads the end of the response, which has usually arrived, so that the connection can be reused."""
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                while await anext(self._blocks, None) is not None:
                    pass

    async def aclose(self) -> None:
        await self._blocks.aclose()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns the errors of a response that has begun into ProviderErrors."""
    try:
        yield
    except httpx.ReadTimeout as error:
        raise ModelTimeout("no more bytes") from error
    except httpx.DecodingError as error:
        raise InvalidResponse("a body that cannot be unpacked") from error
    except httpx.HTTPError as error:
        raise StreamInterrupted("the connection broke") from error


def no_response(error: httpx.HTTPError | httpx.InvalidURL, secrets: Iterable[str]) -> ProviderError:
    """Why a request had no response."""
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return ModelTimeout("no answer")
    detail = redact(str(error), secrets)
    if isinstance(error, httpx.ProxyError):
        return Blocked(detail)
    return OwnFault(detail) if isinstance(error, NothingLeft) else Unreachable(detail)


async def read_error(response: httpx.Response) -> bytes:
    """The beginning of an error's body: as much of it as arrives in time."""
    body = b""
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ERROR_TIMEOUT):
            async for block in response.aiter_bytes():
                body += block
                if len(body) > _MAX_ERROR_BYTES:
                    break
    return body

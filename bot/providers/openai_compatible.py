"""Any server that speaks OpenAI's chat completions, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import httpx

from bot.domain import ModelInfo, Role, StreamEvent
from bot.errors import InvalidResponse, ModelGone, ModelTimeout, StreamInterrupted, Unreachable
from bot.providers.base import ChatMessage, ProviderSettings, Request
from bot.providers.errors import error_from_response, redact
from bot.providers.model_list import parse_models
from bot.providers.stream_parser import StreamParser
from bot.providers.transport import reading_paused

CONNECT_TIMEOUT = 10.0
_LIST_TIMEOUT = 15.0
_PROBE_TIMEOUT = 1.0
"""For connecting to what may not be there at all."""
AFTERMATH = 3.0
"""Seconds that usage may come after an answer's last word: no answer waits longer for it."""
_LINGER = 0.1
"""Seconds that a server gets to end its response properly, which lets the connection be used again."""
_ERROR_BODY_LIMIT = 64_000
_FEW = 5
"""So many answers at once are read piece by piece."""
_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
"""Seconds for each answer that is being read, after which the pieces of more are read together, and the most of it. To
read a piece costs the same whatever its size; what a crowd sees waits longer than this for Slack's budgets."""
_SMALL = 8_000
"""Bytes: where more has come at once, the next is not waited for, however many are read."""
_APP_HEADERS = {"HTTP-Referer": "https://github.com/bobbin-chat/bobbin", "X-Title": "Bobbin"}
"""How OpenRouter wants applications to name themselves."""
_KEY_PATHS = {"openrouter": "/key", "venice": "/api_keys/rate_limits"}
"""Where the list of models is open to everybody: what only a good key may read."""


class OpenAICompatible:
    """One provider. `timeout`: seconds without a byte from the model after which an answer has failed."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: ProviderSettings,
        *,
        timeout: float = 60.0,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.name = settings.name
        self.label = settings.label
        self.default_model = settings.default_model
        self.optional = settings.optional
        self._client = client
        self._settings = settings
        self._base = settings.base_url.rstrip("/").removesuffix("/chat/completions")
        self._secrets = (settings.api_key,) if settings.api_key else ()
        self._connect_timeout = _PROBE_TIMEOUT if settings.optional else connect_timeout
        self._timeout = httpx.Timeout(timeout, connect=self._connect_timeout, pool=CONNECT_TIMEOUT)
        self._usage_wanted = True
        self._limit_field = "max_tokens"
        self._streams = 0

    async def models(self) -> Sequence[ModelInfo]:
        """Its list, asked now. A server without one offers its default model. Raises ProviderError."""
        try:
            payload = await self._get(f"{self._base}/models")
        except ModelGone:
            if not self.default_model:
                raise
            payload = {"data": [{"id": self.default_model}]}
        return parse_models(payload, self._settings)

    async def ping(self) -> int:
        """How many models it offers, asked now, and with a key that is good. Raises ProviderError."""
        path = _KEY_PATHS.get(self._settings.kind)
        if path:
            with suppress(ModelGone):  # a stand-in or proxy need not have that page
                await self._get(self._base + path)
        return len(await self.models())

    async def stream(self, request: Request) -> AsyncIterator[StreamEvent]:
        """The answer as it comes. Raises ProviderError; see `Provider.stream`."""
        reader = StreamParser(self._secrets)
        async with (
            self._answering(request) as response,
            aclosing(_Body(response, reader, self._pause)) as body,
        ):
            while not reader.closed and (block := await body.next()) is not None:
                for event in reader.feed(block):
                    body.renew()
                    yield event
                if reader.error is not None:
                    raise reader.error
            for event in reader.finish():
                yield event
            await body.linger()

    @asynccontextmanager
    async def _answering(self, request: Request) -> AsyncIterator[httpx.Response]:
        """The response that holds the answer; what a server does not understand is left out and asked again."""
        while True:
            body = self._body(request)
            response = await self._send(
                "POST", f"{self._base}/chat/completions", body, self._timeout
            )
            try:
                if response.is_success:
                    self._streams += 1
                    try:
                        yield response
                    finally:
                        self._streams -= 1
                    return
                refusal = await _read_some(response)
            finally:
                await response.aclose()
            if not (response.status_code in (400, 422) and self._adapt(body, refusal)):
                raise error_from_response(
                    response.status_code, response.headers, refusal, secrets=self._secrets
                )

    def _pause(self) -> float:
        """Seconds to wait before more of an answer is read."""
        return min(_LONGEST_PAUSE, _PAUSE * self._streams) if self._streams > _FEW else 0.0

    def _adapt(self, body: Mapping[str, Any], refusal: bytes) -> bool:
        """Whether a refusal was about a field of `body` that can be spared; it is from now on."""
        if "stream_options" in body and (
            b"stream_options" in refusal or b"include_usage" in refusal
        ):
            self._usage_wanted = False
            return True
        if "max_tokens" in body and b"max_completion_tokens" in refusal:
            self._limit_field = "max_completion_tokens"
            return True
        return False

    def _body(self, request: Request) -> dict[str, Any]:
        messages: list[dict[str, Any]] = (
            [{"role": "system", "content": request.system}] if request.system else []
        )
        messages += [_message(turn) for turn in request.messages]
        body: dict[str, Any] = {"model": request.model.name, "messages": messages, "stream": True}
        if self._usage_wanted:
            body["stream_options"] = {"include_usage": True}
            if self._settings.kind == "openrouter":
                body["usage"] = {"include": True}
        if request.max_tokens:
            body[self._limit_field] = request.max_tokens
        return body

    async def _get(self, url: str) -> Any:
        return await self._json("GET", url, None)

    async def _json(self, method: str, url: str, body: Mapping[str, Any] | None) -> Any:
        """The JSON that a short request answers with. Raises ProviderError."""
        limits = httpx.Timeout(_LIST_TIMEOUT, connect=self._connect_timeout)
        response = await self._send(method, url, body, limits)
        try:
            with _reading():
                content = await response.aread()
        finally:
            await response.aclose()
        if not response.is_success:
            raise error_from_response(
                response.status_code, response.headers, content, secrets=self._secrets
            )
        try:
            return json.loads(content)
        except ValueError:
            raise InvalidResponse("an answer that is not JSON") from None

    async def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None, limits: httpx.Timeout
    ) -> httpx.Response:
        headers = dict(_APP_HEADERS) if self._settings.kind == "openrouter" else {}
        if self._settings.api_key:
            headers["Authorization"] = f"Bearer {self._settings.api_key}"
        try:
            request = self._client.build_request(
                method, url, json=body, headers=headers, timeout=limits
            )
            try:
                return await self._client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # Mostly a kept connection that the server was about to close: worth a fresh one.
                return await self._client.send(request, stream=True)
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise ModelTimeout("no answer") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(redact(str(error), self._secrets)) from error


class _Body:
    """The bytes of a response, until its end or, once the answer is finished, until they are no longer worth it."""

    def __init__(
        self, response: httpx.Response, reader: StreamParser, pause: Callable[[], float]
    ) -> None:
        self._response = response
        self._reader = reader
        self._pause = pause
        self._blocks = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
        self._until: float | None = None
        self._small = False

    async def next(self) -> bytes | None:
        """The next bytes, None at the end. Raises ProviderError."""
        if not self._reader.finished:
            if self._small and self._reader.begun and (pause := self._pause()):
                with reading_paused(self._response):
                    await asyncio.sleep(pause)
            with _reading():
                block = await anext(self._blocks, None)
            self._small = block is not None and len(block) < _SMALL
            return block
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + AFTERMATH
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout_at(self._until):
                return await anext(self._blocks, None)
        return None

    def renew(self) -> None:
        """More of the answer came, though its end had been announced: some servers announce it in every chunk."""
        self._until = None

    async def linger(self) -> None:
        """Read on for a moment, to the end that has mostly arrived already."""
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(_LINGER):
                while await anext(self._blocks, None) is not None:
                    pass

    async def aclose(self) -> None:
        await self._blocks.aclose()


@contextmanager
def _reading() -> Iterator[None]:
    """Turns what can happen to a response that has begun into our errors."""
    try:
        yield
    except httpx.ReadTimeout as error:
        raise ModelTimeout("no more bytes") from error
    except httpx.DecodingError as error:
        raise InvalidResponse("a body that cannot be unpacked") from error
    except httpx.HTTPError as error:
        raise StreamInterrupted("the connection broke") from error


async def _read_some(response: httpx.Response) -> bytes:
    """The beginning of an error's body; one that breaks off or never ends is as good as what came."""
    body = b""
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(CONNECT_TIMEOUT):
            async for block in response.aiter_bytes():
                body += block
                if len(body) > _ERROR_BODY_LIMIT:
                    break
    return body


def _message(turn: ChatMessage) -> dict[str, Any]:
    if not turn.images or turn.role is not Role.USER:
        return {"role": str(turn.role), "content": turn.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
    for image in turn.images:
        url = f"data:{image.mime};base64,{base64.b64encode(image.data).decode('ascii')}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": str(turn.role), "content": parts}

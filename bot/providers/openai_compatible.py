"""Talks to any server that implements OpenAI's chat completions over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing, suppress
from functools import partial
from typing import Any

import httpx

from bot.domain import Attachment, ModelInfo, Role
from bot.domain.stream_events import ImagesMade, MadeImage, StreamEvent
from bot.errors import (
    InvalidResponse,
    ModelGone,
    ModelTimeout,
    ProviderError,
    RequestRefused,
    WrongAddress,
)
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind, ProviderSettings
from bot.providers.dialects import first_page, next_page, option_fields, pdf_part, request_headers
from bot.providers.errors import error_from_response
from bot.providers.model_list import names_in, parse_models
from bot.providers.picture_download import fetch_picture
from bot.providers.pictures import picture_bytes
from bot.providers.prompt_cache import wants_marks, with_marks
from bot.providers.request_body import AttachmentUrls, RequestBody, ServerWaits
from bot.providers.response_body import Body, no_response, read_error, translated_errors
from bot.providers.stream_limits import IdleTimeout, StreamLimits, limited
from bot.providers.stream_parser import StreamParser
from bot.providers.tool_messages import (
    round_messages,
    tool_fields,
    with_reasoning,
    with_signatures,
    with_unique_ids,
)
from bot.runtime.memory import MemoryReservation
from bot.text.untrusted_json import parsed
from bot.timing import Timing

CONNECT_TIMEOUT = 10.0
_PROBE_TIMEOUT = 1.0
"""Seconds to connect to a server that may not be there at all."""
_MAX_LIST_BYTES = 32_000_000
_MAX_UNPACED_STREAMS = 5
"""Up to this many concurrent streams are read piece by piece, without a pause."""
_PAUSE_PER_STREAM = 0.005
"""Seconds between two reads of a stream, for each concurrent stream beyond that.

Reading costs the same whatever the size of the piece, so pieces are read together; with so many answers, Slack's rate
limits delay text longer than this anyway.
"""
_MAX_PAUSE = 0.1
"""The longest pause between two reads, in seconds."""
_MAX_LIST_PAGES = 20
_COUNTED_AT_ONCE = 500_000
"""Bytes of an answer that are kept before they are counted: never reached by texts, always by pictures."""
_COMPLETIONS = "/chat/completions"
_KEY_PATHS = {"openrouter": "/key", "venice": "/api_keys/rate_limits"}
"""Paths that require a valid key, for providers whose list of models does not."""


_REFUSED = frozenset({400, 404, 422})
"""The statuses with which servers reject a field of a request; OpenRouter has no endpoint that supports it."""
_NO_LIST = (WrongAddress, ModelGone, RequestRefused, InvalidResponse)
"""The errors by which servers say that they have no list of models."""


class OpenAICompatible:
    """One provider of models."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        settings: ProviderSettings,
        *,
        timeout: float = 60.0,
        connect_timeout: float = CONNECT_TIMEOUT,
        timing: Timing = Timing(),
    ) -> None:
        """`timeout`: seconds of silence after which an answer fails."""
        self.name = settings.name
        self.label = settings.label
        self.default_model = settings.default_model
        self.optional = settings.optional
        self.kind = settings.kind
        self._client = client
        self.settings = settings
        self._secrets = (settings.api_key,) if settings.api_key else ()
        self._connect_timeout = _PROBE_TIMEOUT if settings.optional else connect_timeout
        self._timeout = httpx.Timeout(timeout, connect=self._connect_timeout, pool=CONNECT_TIMEOUT)
        self._silence = timeout
        self._longest_answer = timing.longest_answer
        self._list_timeout = timing.model_list_request_timeout
        self._usage_timeout = timing.usage_timeout
        self._ask_for_usage = True
        self._limit_field = "max_tokens"
        self._modalities: dict[str, list[str]] = {}
        """What each model that makes pictures is asked for."""
        self._open_streams = 0
        self._begin_with_reasoning: set[str] = set()
        """Models whose answers begin with reasoning that no mark opens, because their prompt's template opens it."""

    async def models(self) -> Sequence[ModelInfo]:
        """Its models, read from the server now; the configured ones if it has no list. Raises ProviderError."""
        try:
            listed = await self._listed_models()
        except _NO_LIST as error:
            if not (named := self._named_models(error)):
                raise
            return named
        return listed or self._named_models(None)

    async def _listed_models(self) -> tuple[ModelInfo, ...]:
        """The models on all pages of the server's list. Raises ProviderError."""
        list_url = self._url("/models")
        url: str | None = first_page(self.settings, list_url)
        found: dict[str, ModelInfo] = {}
        for _ in range(_MAX_LIST_PAGES):
            if url is None:
                break
            page = await self._get(url)
            for info in parse_models(page, self.settings):
                found.setdefault(info.ref.name, info)
            url = next_page(self.settings, list_url, page)
        self._modalities = {
            info.ref.name: ["image", "text"] if info.writes else ["image"]
            for info in found.values()
            if info.draws
        }
        return tuple(found.values())

    async def listed_names(self) -> frozenset[str]:
        """The ids at the beginning of the server's list, of models of every kind. Raises ProviderError."""
        return names_in(await self._get(first_page(self.settings, self._url("/models"))))

    def _named_models(self, error: ProviderError | None) -> tuple[ModelInfo, ...]:
        """The models named in the settings, whatever their names look like, since the operator knows whether they can
        chat.

        The provider's own default is included only if there is certainly no list.
        """
        names = self.settings.models
        if not names and self.default_model and isinstance(error, WrongAddress):
            names = (self.default_model,)
        return parse_models([{"id": name, "type": "chat"} for name in names], self.settings)

    async def ping(self) -> int:
        """Checks the key, and counts the models that the server currently offers. Raises ProviderError."""
        path = _KEY_PATHS.get(self.settings.kind)
        if path:
            with suppress(WrongAddress):  # a proxy may lack that path
                await self._get(self._url(path))
        return len(await self.models())

    def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """The answer as it arrives. Raises ProviderError; see `Provider.stream`."""
        seconds = self._longest_answer if request.max_seconds is None else request.max_seconds
        idle = IdleTimeout(self._silence)
        limits = StreamLimits(idle, seconds, request.max_characters)
        return limited(self._events(request, idle.server_waits), limits)

    async def _events(
        self, request: ModelRequest, server_waits: ServerWaits
    ) -> AsyncGenerator[StreamEvent, None]:
        model = request.model.name
        counted, drawn = 0, tuple[str, ...]()
        parser = StreamParser(
            self._secrets, begins_with_reasoning=model in self._begin_with_reasoning
        )
        async with (
            self._open_stream(request, server_waits) as response,
            aclosing(Body(response, parser, self._pause, self._usage_timeout)) as body,
        ):
            while not parser.closed and (block := await body.next()) is not None:
                known = parser.usage
                for event in parser.feed(block):
                    body.reset_usage_timeout()
                    yield event
                counted = await _count(parser.size, counted, request.reservation)
                if parser.pictures != drawn:
                    drawn = parser.pictures
                    yield self._images(drawn)
                if parser.usage is not None and parser.usage != known:
                    yield parser.usage
                if parser.error is not None:
                    raise parser.error
            for event in self._last_events(parser, drawn):
                yield event
            self._note_beginning(model, parser)
            await body.read_to_end()

    def _note_beginning(self, model: str, parser: StreamParser) -> None:
        """Remembers how the model's answers begin, judging by the last one."""
        if parser.began_with_reasoning:
            self._begin_with_reasoning.add(model)
        elif parser.began_with_answer:
            self._begin_with_reasoning.discard(model)

    def _last_events(self, parser: StreamParser, drawn: Sequence[str]) -> Iterator[StreamEvent]:
        """The final events: before an error, too, what the call has produced and used. Raises ProviderError.

        `drawn`: the addresses of the pictures already yielded.
        """
        known, failure = parser.usage, None
        events: list[StreamEvent] = []
        try:
            *events, done = parser.finish()
        except ProviderError as error:
            failure = error
        yield from events
        if parser.pictures != drawn:
            yield self._images(parser.pictures)
        if parser.usage is not None and parser.usage != known:
            yield parser.usage
        if failure is not None:
            raise failure
        yield done

    def _images(self, addresses: Sequence[str]) -> ImagesMade:
        return ImagesMade(
            tuple(
                MadeImage(partial(self._picture, address), arrived=address.startswith("data:"))
                for address in addresses
            )
        )

    async def _picture(self, address: str) -> bytes | None:
        """A picture's bytes; None if it cannot be fetched."""
        if address.startswith("data:"):
            return await asyncio.to_thread(picture_bytes, address)
        headers = request_headers(self.settings, listing=False)
        return await fetch_picture(self._client, address, self.settings.base_url, headers)

    def _url(self, path: str) -> str:
        return self.settings.url(path, without=_COMPLETIONS)

    @asynccontextmanager
    async def _open_stream(
        self, request: ModelRequest, server_waits: ServerWaits
    ) -> AsyncIterator[httpx.Response]:
        """The response that streams the answer. A request with a rejected field is repeated without the field."""
        while True:
            urls = AttachmentUrls()
            body = self._body(request, urls)
            parts = urls.parts(body)
            content = RequestBody(parts, request.read, request.reservation, server_waits)
            with closing(content):
                response = await self._send("POST", self._url(_COMPLETIONS), content, self._timeout)
            try:
                if response.is_success:
                    self._open_streams += 1
                    try:
                        yield response
                    finally:
                        self._open_streams -= 1
                    return
                rejection = await read_error(response)
            finally:
                await response.aclose()
            if not (
                response.status_code in _REFUSED and self._drop_rejected_field(body, rejection)
            ):
                raise error_from_response(
                    response.status_code, response.headers, rejection, secrets=self._secrets
                )

    def _pause(self) -> float:
        """Seconds to wait before the next read of a stream."""
        if self._open_streams <= _MAX_UNPACED_STREAMS:
            return 0.0
        return min(_MAX_PAUSE, _PAUSE_PER_STREAM * self._open_streams)

    def _drop_rejected_field(self, body: Mapping[str, Any], rejection: bytes) -> bool:
        """Whether the server rejected an optional field of `body`; later requests omit it."""
        if "stream_options" in body and (
            b"stream_options" in rejection or b"include_usage" in rejection
        ):
            self._ask_for_usage = False
            return True
        if "max_tokens" in body and b"max_completion_tokens" in rejection:
            self._limit_field = "max_completion_tokens"
            return True
        if "modalities" in body and b"modalities" in rejection:
            self._modalities.pop(body["model"], None)
            return True
        return False

    def _body(self, request: ModelRequest, urls: AttachmentUrls) -> dict[str, Any]:
        messages: list[dict[str, Any]] = (
            [{"role": "system", "content": request.system}] if request.system else []
        )
        for message in request.messages:
            messages += round_messages(message.rounds, self.settings.kind, urls)
            messages.append(_message(message, urls, self.settings.kind))
        messages += round_messages(request.rounds, self.settings.kind, urls)
        messages = with_reasoning(with_unique_ids(messages), self.settings.kind)
        messages = with_signatures(messages, self.settings.kind, request.model.name)
        if wants_marks(self.settings, request.model.name):
            messages = with_marks(messages)
        body: dict[str, Any] = {"model": request.model.name, "messages": messages, "stream": True}
        if self._ask_for_usage:
            body["stream_options"] = {"include_usage": True}
            if self.settings.kind == "openrouter":
                body["usage"] = {"include": True}
        if request.pictures and (modalities := self._modalities.get(request.model.name)):
            body["modalities"] = modalities
        if request.max_tokens:
            body[self._limit_field] = request.max_tokens
        body |= tool_fields(request)
        return body | option_fields(body, request.options, self.kind)

    async def _get(self, url: str) -> Any:
        return await self._json("GET", url, None)

    async def _json(self, method: str, url: str, body: Mapping[str, Any] | None) -> Any:
        """The JSON in the response to a short request. Raises ProviderError."""
        limits = httpx.Timeout(self._list_timeout, connect=self._connect_timeout)
        try:
            async with asyncio.timeout(self._list_timeout):  # a server may also send very slowly
                response, content = await self._whole_response(method, url, body, limits)
        except TimeoutError:
            raise ModelTimeout("no end of its response") from None
        if not response.is_success:
            raise error_from_response(
                response.status_code, response.headers, content, secrets=self._secrets
            )
        try:
            return parsed(content)
        except ValueError:
            raise InvalidResponse("an answer that is not JSON") from None

    async def _whole_response(
        self, method: str, url: str, body: Mapping[str, Any] | None, limits: httpx.Timeout
    ) -> tuple[httpx.Response, bytes]:
        """A response and its body, which may be as large as any list of models. Raises ProviderError."""
        sent = None if body is None else RequestBody(AttachmentUrls().parts(body))
        response = await self._send(method, url, sent, limits)
        content = bytearray()
        try:
            with translated_errors():
                async for block in response.aiter_bytes():
                    content += block
                    if len(content) > _MAX_LIST_BYTES:
                        raise InvalidResponse("a response without an end")
        finally:
            await response.aclose()
        return response, bytes(content)

    async def _send(
        self, method: str, url: str, body: RequestBody | None, limits: httpx.Timeout
    ) -> httpx.Response:
        """The beginning of the response.

        Raises ProviderError; ChatNotFound if an attachment is gone, StorageError if it cannot be read.
        """
        headers = request_headers(self.settings, listing=method == "GET")
        content = None if body is None else body.content()
        headers |= {} if body is None else body.headers()
        try:
            request = self._client.build_request(
                method, url, content=content, headers=headers, timeout=limits
            )
            try:
                return await self._client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if body is not None and body.failure is not None:
                    raise
                # Usually a kept-alive connection that the server was just closing: repeat the request on a new one.
                return await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = None if body is None else body.failure
            raise failure or no_response(error, self._secrets) from error


async def _count(size: int, counted: int, reservation: MemoryReservation | None) -> int:
    """Counts what is kept of an answer in the memory budget; returns how much is counted now."""
    if reservation is None or size - counted < _COUNTED_AT_ONCE:
        return counted
    await reservation.add(size - counted)
    return size


def _message(message: ChatMessage, urls: AttachmentUrls, kind: ProviderKind) -> dict[str, Any]:
    if not message.images or message.role is not Role.USER:
        return {"role": str(message.role), "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
    parts += [_part(image, urls, kind) for image in message.images]
    return {"role": str(message.role), "content": parts}


def _part(attachment: Attachment, urls: AttachmentUrls, kind: ProviderKind) -> dict[str, Any]:
    url = urls.url(attachment)
    if attachment.is_pdf:
        return pdf_part(attachment.name, url, kind)
    return {"type": "image_url", "image_url": {"url": url}}

"""Turns speech into text through a server's `/audio/transcriptions`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx

from bot.domain import ModelRef, Usage
from bot.errors import (
    Blocked,
    InvalidResponse,
    ModelTimeout,
    Unreachable,
)
from bot.providers.base import ProviderSettings
from bot.providers.chunks import usage_of
from bot.providers.dialects import request_headers
from bot.providers.errors import error_from_response, redact
from bot.providers.response_body import read_error
from bot.text.untrusted_json import parsed

_PATH = "/audio/transcriptions"
_COMPLETIONS = "/chat/completions"
_MAX_BYTES = 2_000_000
"""Bytes of a response: enough for hours of speech."""
_SUFFIXES = {"audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/x-wav": "wav"}
"""Suffixes for types that do not contain one that servers recognise."""


@dataclass(frozen=True, slots=True)
class VoiceClip:
    """Recorded speech."""

    mime: str
    data: bytes = field(repr=False)

    @property
    def file_name(self) -> str:
        """A name that reveals only the format, which servers recognise by it."""
        kind = self.mime.lower().partition(";")[0]
        return f"clip.{_SUFFIXES.get(kind, kind.rpartition('/')[2])}"


@dataclass(frozen=True, slots=True)
class Transcription:
    """The transcript of a clip."""

    text: str = field(repr=False)
    usage: Usage | None = None


class Transcriber:
    """One model that turns speech into text."""

    def __init__(
        self, client: httpx.AsyncClient, settings: ProviderSettings, model: ModelRef, seconds: float
    ) -> None:
        """`seconds`: the time limit for one clip."""
        self.model = model
        self._client = client
        self._settings = settings
        self._seconds = seconds

    async def transcribe(self, clip: VoiceClip) -> Transcription:
        """Raises ProviderError."""
        secrets = (self._settings.api_key,) if self._settings.api_key else ()
        try:
            async with asyncio.timeout(self._seconds):
                return _parse(await self._answer(clip, secrets))
        except (TimeoutError, httpx.TimeoutException):
            raise ModelTimeout("no transcript") from None
        except httpx.ProxyError as error:
            raise Blocked(redact(str(error), secrets)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(redact(str(error), secrets)) from error

    async def _answer(self, clip: VoiceClip, secrets: tuple[str, ...]) -> bytes:
        """Raises ProviderError, httpx.HTTPError."""
        async with self._client.stream(
            "POST",
            self._settings.url(_PATH, without=_COMPLETIONS),
            data={"model": self.model.name},
            files={"file": (clip.file_name, clip.data, clip.mime or "application/octet-stream")},
            headers=request_headers(self._settings, listing=False),
            timeout=self._seconds,
        ) as response:
            if not response.is_success:
                content = await read_error(response)
                raise error_from_response(
                    response.status_code, response.headers, content, secrets=secrets
                )
            found = bytearray()
            async for block in response.aiter_bytes():
                found += block
                if len(found) > _MAX_BYTES:
                    raise InvalidResponse("a transcript without an end")
            return bytes(found)


def _parse(content: bytes) -> Transcription:
    try:
        answer = parsed(content)
    except ValueError:
        raise InvalidResponse("a transcript that is not JSON") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise InvalidResponse("no transcript")
    return Transcription(answer["text"].strip(), _usage(answer.get("usage")))


def _usage(reported: Any) -> Usage | None:
    """The tokens, if the server reports any: many report seconds."""
    return usage_of(reported) if isinstance(reported, dict) else None

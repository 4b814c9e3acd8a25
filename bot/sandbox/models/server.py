"""A model server in the OpenAI format with scripted models: those of the demo, and any that a test defines.

    server = ModelServer()
    server.queue("demo/quick", ModelScript(["Hel", "lo"], rate=20))
    app = create_models_app(server)        # GET /models, POST /chat/completions

`server.journal` keeps every request with the time of each piece, so that tests can measure how long it takes until a
person sees a word.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.sandbox.models.chunks import event_bytes, line_bytes, piece_bytes
from bot.sandbox.models.demo import (
    DEMO_MODELS,
    DemoModel,
    Question,
    asks_for_title,
    callable_tools,
    effort_in,
    title_for,
)
from bot.sandbox.models.scripts import (
    Fault,
    ModelScript,
    script_from_text,
    text_of,
)

MAX_REMEMBERED_QUESTIONS = 2_000
SEARCH_TOOL = "openrouter:web_search"
"""The type of the tool by which a request lets a model search, as at OpenRouter."""
TITLE_WORDS_PER_SECOND = 200.0
DEMO_TRANSCRIPT = (
    "This is a demo transcript. The sandbox cannot hear: set BOBBIN_TRANSCRIBE_MODEL and a provider's key for a real "
    "one. Your voice clip has {size} bytes."
)


@dataclass(slots=True)
class SentPiece:
    """One piece of text that was sent, and when."""

    at: float
    text: str


@dataclass(slots=True)
class ModelRequest:
    """One request for an answer. Times are those of the server's clock, in seconds."""

    at: float
    model: str
    messages: Sequence[Mapping[str, Any]]
    stream: bool
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    sent: list[SentPiece] = field(default_factory=list)
    cancelled: bool = False
    """The client disconnected before the end."""
    ended_at: float | None = None

    @property
    def text(self) -> str:
        """The part of the answer that was sent."""
        return "".join(sent.text for sent in self.sent)


AnswerFunction = Callable[[ModelRequest], ModelScript | None]


class ModelServer:
    """The models, their queued scripts, and the journal of requests.

    `words_per_second`: the speed of the demo models. `clock`: the source of the journal's times.
    """

    def __init__(
        self,
        models: Sequence[DemoModel] = DEMO_MODELS,
        *,
        words_per_second: float = 25.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.models = {model.id: model for model in models}
        self.words_per_second = words_per_second
        self.clock = clock
        self.journal: list[ModelRequest] = []
        self.list_fault: Fault | None = None
        """While set, the list of models is refused in this way."""
        self.clips: list[int] = []
        """Bytes of each voice clip that was to be turned into text."""
        self.transcripts: deque[str] = deque()
        """What is said in the next of them."""
        self.hold_clips: asyncio.Event | None = None
        """While set, they wait for it."""
        self.clip_fault: Fault | None = None
        """While set, they are refused in this way."""
        self._queues: defaultdict[str, deque[ModelScript]] = defaultdict(deque)
        self._answer_functions: dict[str, AnswerFunction] = {}
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def queue(self, model: str, *scripts: ModelScript) -> None:
        """Queue the next answers of a model. Requests for titles do not use them."""
        self._queues[model].extend(scripts)

    def answer_with(self, model: str, answering: AnswerFunction | None) -> None:
        """Uses a function for every answer of a model (`*`: of all). Where it gives None, the model answers itself."""
        if answering is None:
            self._answer_functions.pop(model, None)
        else:
            self._answer_functions[model] = answering

    def requests(self, model: str | None = None) -> list[ModelRequest]:
        """The journal without requests for titles."""
        return [
            a for a in self.journal if model in (None, a.model) and not asks_for_title(a.messages)
        ]

    def script_for(self, asked: ModelRequest) -> ModelScript | None:
        """The script that answers a request; None if there is no such model."""
        answering = self._answer_functions.get(asked.model) or self._answer_functions.get("*")
        script = answering(asked) if answering else None
        if script is not None:
            return script
        known = asked.model in self.models or asked.model in self._queues
        if known and asks_for_title(asked.messages):
            return script_from_text(title_for(asked.messages), TITLE_WORDS_PER_SECOND)
        if self._queues[asked.model]:
            return self._queues[asked.model].popleft()
        model = self.models.get(asked.model)
        return model.script_for(self._question(asked)) if model else None

    def model_entries(self) -> list[dict[str, Any]]:
        """The entries of the list of models."""
        return [
            {
                "id": model.id,
                "object": "model",
                "name": model.label,
                "context_length": model.context,
                "supported_parameters": ["reasoning"] if model.takes_effort else [],
                "architecture": {
                    "input_modalities": ["text", "image"] if model.vision else ["text"],
                    "output_modalities": ["text", "image"] if model.draws else ["text"],
                },
            }
            for model in self.models.values()
        ]

    def _question(self, asked: ModelRequest) -> Question:
        words = json.dumps([asked.model, [[m.get("role"), text_of(m)] for m in asked.messages]])
        key = hashlib.sha256(words.encode()).hexdigest()
        count, first = self._seen.pop(key, (0, self.clock()))
        self._seen[key] = (count + 1, first)
        if len(self._seen) > MAX_REMEMBERED_QUESTIONS:
            self._seen.popitem(last=False)
        since = self.clock() - first
        return Question(
            asked.messages,
            self.words_per_second,
            seen_before=count,
            since_first=since,
            effort=effort_in(asked.body),
            may_search=any(tool.get("type") == SEARCH_TOOL for tool in asked.body.get("tools", ())),
            tools=callable_tools(asked.body),
        )


def create_models_app(server: ModelServer | None = None) -> Starlette:
    """The application: `/models`, `/chat/completions`, `/audio/transcriptions`. Its server is `app.state.models`."""
    models = server or ModelServer()

    async def list_models(request: Request) -> Response:
        if models.list_fault is not None:
            return _refusal(models.list_fault)
        return JSONResponse({"object": "list", "data": models.model_entries()})

    async def complete(request: Request) -> Response:
        try:
            body = await request.json()
            messages = body["messages"]
            asked = ModelRequest(
                at=models.clock(),
                model=str(body["model"]),
                messages=messages,
                stream=bool(body.get("stream")),
                body=body,
                headers=request.headers,
            )
        except (ValueError, KeyError, TypeError):
            return _error(
                400, "A JSON object with model and messages is needed.", "invalid_request_error"
            )
        models.journal.append(asked)
        script = models.script_for(asked)
        if script is None:
            return _error(404, f"The model `{asked.model}` does not exist.", "model_not_found")
        fault = script.fault
        if fault is not None and fault.kind in ("http", "body"):
            return _refusal(fault)
        return ScriptedAnswer(script, asked, models.clock)

    async def transcribe(request: Request) -> Response:
        return await _transcribed(models, request)

    routes = [
        Route("/models", list_models),
        Route("/chat/completions", complete, methods=["POST"]),
        Route("/audio/transcriptions", transcribe, methods=["POST"]),
    ]
    app = Starlette(routes=routes)
    app.state.models = models
    return app


async def _transcribed(models: ModelServer, request: Request) -> Response:
    """Returns what a test has set, or a sentence that says that it cannot hear."""
    async with request.form() as form:
        given = form.get("file")
        if not isinstance(given, UploadFile) or not form.get("model"):
            return _error(400, "A file and a model are needed.", "invalid_request_error")
        size = len(await given.read())
    models.clips.append(size)
    if models.hold_clips is not None:
        await models.hold_clips.wait()
    if models.clip_fault is not None:
        return _refusal(models.clip_fault)
    said = models.transcripts.popleft() if models.transcripts else DEMO_TRANSCRIPT.format(size=size)
    return JSONResponse({"text": said})


class ScriptedAnswer(Response):
    """Plays a script to one client on an absolute schedule, and records the result in the journal."""

    def __init__(
        self, script: ModelScript, asked: ModelRequest, clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self._script = script
        self._asked = asked
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = asyncio.get_running_loop().time()
        playing = asyncio.ensure_future(
            self._stream(send, started) if self._asked.stream else self._whole(send, started)
        )
        leaving = asyncio.ensure_future(_until_disconnect(receive))
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
            self._asked.cancelled = not playing.done()
        finally:
            for task in (playing, leaving):
                task.cancel()
            await asyncio.gather(playing, leaving, return_exceptions=True)
            self._asked.ended_at = self._clock()
        if playing.done() and not playing.cancelled():
            playing.result()

    async def _stream(self, send: Send, started: float) -> None:
        script, fault = self._script, self._script.fault
        last = len(script.pieces) if fault is None else min(fault.after, len(script.pieces))
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        await _start(send, 200, headers)
        await _chunk(send, event_bytes({"role": "assistant", "content": ""}, self._asked.model))
        number = 0
        while number < last:
            number = await self._send_due(send, started, number, last)
        if script.held_until is not None:
            await script.held_until.wait()
        if fault is not None:
            await self._fail(send, fault)
            return
        await send({"type": "http.response.body", "body": self._ending(), "more_body": False})

    async def _send_due(self, send: Send, started: float, number: int, last: int) -> int:
        """Waits for piece `number`, sends it and all others that are due, and returns the number of the next."""
        loop = asyncio.get_running_loop()
        wait = started + self._script.time_of(number) - loop.time()
        await asyncio.sleep(max(0.0, wait))
        data: list[bytes] = []
        elapsed = loop.time() - started
        now = self._clock()
        while True:
            piece = self._script.pieces[number]
            data.append(piece_bytes(piece, self._asked.model))
            if isinstance(piece, str):
                self._asked.sent.append(SentPiece(now, piece))
            number += 1
            if number >= last or self._script.time_of(number) > elapsed:
                break
        await _chunk(send, b"".join(data))
        return number

    def _ending(self) -> bytes:
        script, data = self._script, b""
        if script.finish_reason is not None:
            data += event_bytes({}, self._asked.model, script.finish_reason)
        options = self._asked.body.get("stream_options")
        if script.usage and isinstance(options, dict) and options.get("include_usage"):
            data += line_bytes(
                {"object": "chat.completion.chunk", "choices": [], "usage": self._usage()}
            )
        return data + (b"data: [DONE]\n\n" if script.done else b"")

    async def _fail(self, send: Send, fault: Fault) -> None:
        """Applies a fault. Returning without ending the response makes the server cut the connection."""
        if fault.kind == "hang":
            await asyncio.Event().wait()
        elif fault.kind == "error":
            await _chunk(
                send, line_bytes({"error": {"message": fault.message, "code": fault.status}})
            )
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif fault.kind == "end":
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _whole(self, send: Send, started: float) -> None:
        script = self._script
        due = started + (script.time_of(len(script.pieces) - 1) if script.pieces else 0.0)
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        text = "".join(piece for piece in script.pieces if isinstance(piece, str))
        self._asked.sent.append(SentPiece(self._clock(), text))
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": script.finish_reason,
        }
        payload = {
            "object": "chat.completion",
            "model": self._asked.model,
            "choices": [choice],
            "usage": self._usage(),
        }
        await _start(send, 200, {"Content-Type": "application/json"})
        if script.fault is None:
            await send(
                {
                    "type": "http.response.body",
                    "body": json.dumps(payload).encode(),
                    "more_body": False,
                }
            )
        else:
            await self._fail(send, script.fault)

    def _usage(self) -> dict[str, int]:
        """Usage counted in words, since there are no real tokens."""
        prompt = sum(len(text_of(message).split()) for message in self._asked.messages)
        completion = sum(isinstance(piece, str) for piece in self._script.pieces)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _chunk(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _refusal(fault: Fault) -> Response:
    if fault.body is None:
        return _error(fault.status, fault.message, None, fault.headers)
    return Response(fault.body, fault.status, dict(fault.headers))


def _error(
    status: int, message: str, code: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({"error": {"message": message, "code": code}}, status, dict(headers or {}))

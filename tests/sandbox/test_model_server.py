"""The scripted model server, called by the real provider over HTTP."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from PIL import Image as Picture

from bot.api.server import serving
from bot.domain import Image, ModelRef, Role, Usage
from bot.domain.stream_events import (
    Done,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
)
from bot.errors import (
    EmptyAnswer,
    InvalidResponse,
    ModelBusy,
    ModelGone,
    ModelTimeout,
    ProviderError,
    ProviderServerError,
    StreamInterrupted,
)
from bot.providers.base import ChatMessage, ModelRequest, ProviderSettings
from bot.providers.registry import Providers, is_available
from bot.sandbox.models.scripts import Fault, ModelScript, RawBytes, Reasoning, words
from bot.sandbox.models.server import ModelServer, create_models_app
from tests.deadlines import WAIT_TIMEOUT
from tests.providers.attached import attached
from tests.providers.scripted_server import ScriptedServer, responding


@asynccontextmanager
async def served(models: ModelServer) -> AsyncIterator[ProviderSettings]:
    async with serving(create_models_app(models), "127.0.0.1", 0) as url:
        yield ProviderSettings("demo", "Demo", url, default_model="demo/quick")


@pytest.fixture
async def models() -> ModelServer:
    return ModelServer(words_per_second=2_000.0)


@pytest.fixture
async def providers(models: ModelServer) -> AsyncIterator[Providers]:
    async with (
        served(models) as settings,
        await Providers.open([settings], timeout=2.0) as providers,
    ):
        yield providers


async def ask(
    providers: Providers, *texts: str, model: str = "demo/quick", system: str = "Be kind."
) -> list[StreamEvent]:
    roles = itertools.cycle((Role.USER, Role.ASSISTANT))
    turns = [ChatMessage(role, text) for role, text in zip(roles, texts, strict=False)]
    return [
        event
        async for event in providers.stream(ModelRequest(ModelRef("demo", model), system, turns))
    ]


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_the_demo_models_are_listed(providers: Providers) -> None:
    (group,) = providers.catalogue.groups()
    assert [m.ref.name for m in group.models][:2] == ["demo/quick", "demo/storyteller"]
    assert [m.ref.name for m in group.models if m.vision] == ["demo/eye", "demo/painter"]
    (health,) = await providers.ping()
    assert (health.ok, health.text) == (True, "9 models")


@pytest.mark.parametrize("model", ["quick", "storyteller", "markdown", "slow", "searcher", "eye"])
async def test_every_demo_model_says_that_it_is_not_real(providers: Providers, model: str) -> None:
    events = await ask(providers, "What is a heron?", model=f"demo/{model}")
    opening = text_of(events)[:150]
    assert "scripted demo model and not a real AI" in opening
    assert "What is a heron?" in opening
    assert isinstance(events[-2], Usage)
    assert events[-1] == Done("stop")
    assert any(isinstance(event, ReasoningDelta) for event in events) == (model == "slow")


async def test_a_demo_model_refers_to_the_conversation(providers: Providers) -> None:
    text = text_of(await ask(providers, "My name is Zoë.", "Hello!", "And what did I say?"))
    assert "message 3 of this chat" in text
    assert "your name is Zoë" in text
    assert "It began with “My name is Zoë.”" in text


async def test_the_storyteller_writes_much_and_markdown_uses_all_formats(
    providers: Providers,
) -> None:
    assert len(text_of(await ask(providers, "Go", model="demo/storyteller")).split()) > 600
    rich = text_of(await ask(providers, "Go", model="demo/markdown"))
    assert all(
        sign in rich for sign in ("# ", "| --- |", "```python", "](https://", "1. ", "> ", "**")
    )


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        (
            "Write a title of 2 to 8 words.",
            ["How do herons fish at night?", "They stand and wait."],
        ),
        (
            "Be kind.",
            ["How do herons fish at night?", "They wait.", "Write a title for this, please."],
        ),
        (
            "",
            [
                "Write a title of 2 to 8 words for this:\nUser: How do herons fish at night?\nAssistant: They wait."
            ],
        ),
        ("A title, please.", ["Hm?"]),
    ],
)
async def test_every_model_answers_a_request_for_a_title(
    providers: Providers, system: str, texts: list[str]
) -> None:
    for model in ("demo/quick", "demo/fails", "demo/slow"):
        title = text_of(await ask(providers, *texts, model=model, system=system))
        assert 2 <= len(title.split()) <= 8
        assert "title" not in title.lower()
        assert "herons fish" in title.lower() or texts == ["Hm?"]


async def test_the_eye_model_describes_the_images_it_is_sent(providers: Providers) -> None:
    data = io.BytesIO()
    Picture.new("RGB", (31, 17)).save(data, "PNG")
    images, stored = attached(
        [
            Image("a.png", "image/png", data.getvalue()),
            Image("b.png", "image/png", b"no picture"),
        ]
    )
    turn = ChatMessage(Role.USER, "Look!", images)
    request = ModelRequest(ModelRef("demo", "demo/eye"), "", [turn], read=stored)
    text = text_of([event async for event in providers.stream(request)])
    assert f"1. a PNG picture, 31 × 17 pixels, {len(data.getvalue())} bytes" in text
    assert "2. something that is no picture" in text


async def failure(providers: Providers, question: str) -> type[ProviderError]:
    with pytest.raises(ProviderError) as caught:
        await ask(providers, question, model="demo/fails")
    return type(caught.value)


async def test_the_failing_model_breaks_off_first_and_works_on_retry(providers: Providers) -> None:
    assert await failure(providers, "Hello") is StreamInterrupted
    assert "the retry worked" in text_of(await ask(providers, "Hello", model="demo/fails"))
    assert await failure(providers, "Another question") is StreamInterrupted


async def test_the_failing_model_fails_as_asked_until_its_outage_ends() -> None:
    now = 1_000.0
    models = ModelServer(words_per_second=2_000.0, clock=lambda: now)
    wanted = {
        "please fail 500": ProviderServerError,
        "fail with 429": ModelBusy,
        "fail 404": ModelGone,
        "answer with HTML": InvalidResponse,
        "be empty": EmptyAnswer,
        "hang now": ModelTimeout,
        "break off": StreamInterrupted,
    }
    async with (
        served(models) as settings,
        await Providers.open([settings], timeout=0.5) as providers,
    ):
        for question, error in wanted.items():
            assert await failure(providers, question) is error
        assert await failure(providers, "please fail 500") is ProviderServerError
        now += 60
        assert "the retry worked" in text_of(
            await ask(providers, "please fail 500", model="demo/fails")
        )


async def test_queued_scripts_are_played_in_order_and_not_used_for_titles(
    models: ModelServer, providers: Providers
) -> None:
    models.queue(
        "demo/quick",
        ModelScript(["Hel", "lo"]),
        ModelScript([Reasoning("hm"), "Hi", RawBytes(b": x\n\n")], usage=False),
    )
    await ask(providers, "x", system="A title, please")
    assert text_of(await ask(providers, "one")) == "Hello"
    assert await ask(providers, "two") == [ReasoningDelta("hm"), TextDelta("Hi"), Done("stop")]
    assert "scripted demo model" in text_of(await ask(providers, "three"))
    assert [asked.text for asked in models.requests("demo/quick")][:2] == ["Hello", "Hi"]
    assert len(models.journal) == 4


async def test_a_function_can_decide_the_answers_and_add_models(
    models: ModelServer, providers: Providers
) -> None:
    models.answer_with(
        "*", lambda asked: ModelScript([asked.model, "!"]) if asked.model == "new" else None
    )
    assert text_of(await ask(providers, "x", model="new")) == "new!"
    assert "scripted demo model" in text_of(await ask(providers, "x"))
    models.answer_with("*", None)
    with pytest.raises(ModelGone):
        await ask(providers, "x", model="new")
    with pytest.raises(ModelGone):
        _ = [
            event async for event in providers.stream(ModelRequest(ModelRef("nobody", "x"), "", []))
        ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (ModelScript(["a", "b"], fault=Fault("break", after=1)), StreamInterrupted),
        (ModelScript(["a", "b"], fault=Fault("end", after=1)), StreamInterrupted),
        (ModelScript(["a", "b"], fault=Fault("error", after=1, status=429)), ModelBusy),
        (ModelScript(["a", "b"], fault=Fault("hang", after=1)), ModelTimeout),
        (ModelScript([], fault=Fault("http", status=503)), ProviderServerError),
        (ModelScript([], fault=Fault("body", status=200, body=b"<html>")), InvalidResponse),
    ],
)
async def test_a_fault_happens_after_the_given_piece(
    models: ModelServer, providers: Providers, script: ModelScript, expected: type[ProviderError]
) -> None:
    models.queue("demo/quick", script)
    with pytest.raises(expected):
        await ask(providers, "x")
    assert models.journal[-1].text == ("a" if script.pieces else "")


async def test_pieces_are_sent_on_time_to_many_clients(
    models: ModelServer, providers: Providers
) -> None:
    """No piece is sent early, and delays do not add up: the last piece is as punctual as the first."""
    script = ModelScript(
        words("one two three four five six seven eight nine ten"), rate=20.0, first_after=0.1
    )
    models.queue("demo/quick", *[script] * 60)
    await asyncio.gather(*(ask(providers, f"question {n}") for n in range(60)))
    for asked in models.journal:
        assert len(asked.sent) == 10
        late = [sent.at - asked.at - script.time_of(n) for n, sent in enumerate(asked.sent)]
        assert min(late) > -0.02
        assert not asked.cancelled


async def test_connections_of_many_answers_are_reused(
    models: ModelServer, providers: Providers
) -> None:
    """Backpressure ends with its answer: the connection is reused for the next one or closed."""
    pieces = words("one two three four five six seven eight nine ten")
    models.queue("demo/quick", *[ModelScript(pieces, rate=50.0)] * 36)
    leaving = [asyncio.create_task(ask(providers, "x")) for _ in range(12)]
    await asyncio.sleep(0.15)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    async with asyncio.timeout(WAIT_TIMEOUT):
        for _ in range(2):
            is_available = await asyncio.gather(*(ask(providers, "x") for _ in range(12)))
            assert {text_of(events) for events in is_available} == {"".join(pieces)}


async def test_a_client_that_disconnects_is_recorded(
    models: ModelServer, providers: Providers
) -> None:
    models.queue(
        "demo/quick", ModelScript(["word "] * 1_000, times=[n * 0.01 for n in range(1_000)])
    )
    request = ModelRequest(ModelRef("demo", "demo/quick"), "", [ChatMessage(Role.USER, "x")])
    stream = providers.stream(request)
    assert await anext(stream) == TextDelta("word ")
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(WAIT_TIMEOUT):
        while models.journal[-1].ended_at is None:
            await asyncio.sleep(0.01)
    assert models.journal[-1].cancelled
    assert len(models.journal[-1].sent) < 1_000


async def test_a_provider_that_is_down_is_reported_with_a_remedy(
    providers: Providers, models: ModelServer
) -> None:
    models.list_fault = Fault("http", status=401)
    (health,) = await providers.ping()
    assert not health.ok
    assert health.text.startswith("the key is rejected: set a valid one")
    assert [group.provider for group in providers.catalogue.groups()] == ["demo"]


def test_joined_words_are_the_text() -> None:
    text = "  One two,\n\n```\n  three\n```\nfour \n"
    assert "".join(words(text)) == text
    assert len(words(text)) == 7


async def test_whether_a_server_is_running_is_detected(models: ModelServer) -> None:
    async with served(models) as settings:
        assert await is_available(settings)
        address = settings.base_url
    assert not await is_available(
        ProviderSettings("ollama", "Ollama", address, kind="ollama", optional=True)
    )
    async with ScriptedServer(responding("<html>")).running() as stranger:
        assert not await is_available(
            ProviderSettings("ollama", "Ollama", stranger.url, kind="ollama", optional=True)
        )

"""Calls of tools in every dialect: in streams byte for byte, in requests, and for models that have no tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bot.domain import ModelRef, Role
from bot.errors import EmptyAnswer, ProviderError
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind
from bot.providers.refusals import ProcessMemory
from bot.providers.stream_parser import StreamParser
from bot.providers.without_tools import stream_offering_tools
from bot.stream_events import TextDelta, ToolsCalled
from bot.tool_calls import Tool, ToolCall, ToolRound
from tests.providers.harness import ProviderHarness, read, text_of
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
)

TOOL = Tool("time__now", "time", "now", "Tells the time", {"type": "object", "properties": {}})


def piece(**fields: Any) -> dict[str, Any]:
    """One entry of a delta's `tool_calls`: `name` and `arguments` belong to its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return fields | ({"function": function} if function else {})


def chunk(*pieces: dict[str, Any], finish: str | None = None, **delta: Any) -> dict[str, Any]:
    calls = {"tool_calls": list(pieces)} if pieces else {}
    return {"choices": [{"index": 0, "delta": delta | calls, "finish_reason": finish}]}


A, B = ("now", '{"zone": "Berlin"}'), ("add", '{"a": 1, "b": 2}')
STREAMS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "OpenAI: numbered, arguments in pieces": (
        [
            chunk(piece(index=0, id="c1", type="function", name="now", arguments="")),
            chunk(piece(index=0, arguments='{"zone"')), chunk(piece(index=0, arguments=': "Berlin"}')),
            chunk(piece(index=1, id="c2", type="function", name="add", arguments="")),
            chunk(piece(index=1, arguments='{"a": 1, ')), chunk(piece(index=1, arguments='"b": 2}')),
            chunk(finish="tool_calls"),
        ],
        [A, B],
    ),
    "two calls whose pieces alternate": (
        [
            chunk(piece(index=0, id="c1", name="now", arguments='{"zone"'),
                  piece(index=1, id="c2", name="add", arguments='{"a": 1,')),
            chunk(piece(index=1, arguments=' "b": 2}'), piece(index=0, arguments=': "Berlin"}')),
            chunk(finish="tool_calls"),
        ],
        [A, B],
    ),
    "id and name in every piece": (
        [
            chunk(piece(index=0, id="c1", name="now", arguments='{"zone": ')),
            chunk(piece(index=0, id="c1", name="now", arguments='"Berlin"}')),
            chunk(finish="tool_calls"),
        ],
        [A],
    ),
    "null id and name in later pieces": (
        [
            chunk(piece(index=0, id="c1", name="now", arguments='{"zone": ')),
            chunk(piece(index=0, id=None, name=None, arguments='"Berlin"}')),
            chunk(piece(index=0, id="", name="", arguments="")),
            chunk(finish="tool_calls"),
        ],
        [A],
    ),
    "Ollama: every number is 0": (
        [chunk(piece(index=0, id="call_x", name="now", arguments=A[1])),
         chunk(piece(index=0, id="call_y", name="add", arguments=B[1])), chunk(finish="tool_calls")],
        [A, B],
    ),
    "Gemini: no numbers, ends with stop": (
        [chunk(piece(id="f-1", type="function", name="now", arguments=A[1],
                     extra_content={"google": {"thought_signature": "sig"}}), role="assistant"),
         chunk(piece(id="f-2", type="function", name="add", arguments=B[1]), finish="stop")],
        [A, B],
    ),
    "Gemini: no numbers, no ids": (
        [chunk(piece(id="", name="now", arguments=A[1]), piece(id="", name="now", arguments='{"zone": "Oslo"}')),
         chunk(finish="stop")],
        [A, ("now", '{"zone": "Oslo"}')],
    ),
    "Mistral: no numbers, all in one chunk with the end": (
        [chunk(piece(id="D681PevKs", name="now", arguments=A[1]), piece(id="x91PevKs2", name="add", arguments=B[1]),
               finish="tool_calls")],
        [A, B],
    ),
    "pieces without number and id": (
        [chunk(piece(name="now", arguments='{"zone": ')), chunk(piece(arguments='"Berlin"}')),
         chunk(piece(name="add", arguments=B[1])), chunk(finish="tool_calls")],
        [A, B],
    ),
    "arguments as an object": (
        [chunk(piece(index=0, id="c1", name="now", arguments={"zone": "Berlin"}), finish="tool_calls")],
        [A],
    ),
    "one id for all": (
        [chunk(piece(index=0, id="call", name="now", arguments=A[1]), piece(index=1, id="call", name="add",
               arguments=B[1])), chunk(finish="tool_calls")],
        [A, B],
    ),
    "the whole call once more at the end": (
        [chunk(piece(index=0, id="c1", name="now", arguments='{"zone": ')),
         chunk(piece(index=0, arguments='"Berlin"}')),
         chunk(piece(index=0, id="c1", name="now", arguments=A[1]), finish="tool_calls")],
        [A],
    ),
    "no arguments at all": (
        [chunk(piece(index=0, id="c1", name="list")), chunk(finish="tool_calls")], [("list", "{}")],
    ),
    "in the last message": (
        [{"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [
            piece(id="c1", type="function", name="now", arguments=A[1])]}, "finish_reason": "tool_calls"}]}],
        [A],
    ),
    "deltas, and the last message again": (
        [chunk(piece(index=0, id="c1", name="now", arguments=A[1])),
         {"choices": [{"index": 0, "delta": {}, "message": {"content": "", "tool_calls": [
             piece(id="c1", name="now", arguments=A[1])]}, "finish_reason": "tool_calls"}]}],
        [A],
    ),
    "the field before tool_calls": (
        [chunk(function_call={"name": "now", "arguments": '{"zone": '}),
         chunk(function_call={"arguments": '"Berlin"}'}), chunk(finish="function_call")],
        [A],
    ),
    "an end word of its own": (
        [chunk(piece(index=0, id="c1", name="now", arguments=A[1]), finish="tool_use")], [A],
    ),
}  # fmt: skip


def parsed(chunks: Sequence[Any]) -> list[Any]:
    parser = StreamParser()
    events: list[Any] = []
    for each in chunks:
        events += parser.feed(data(each))
    return [*events, *parser.feed(DONE), *parser.finish()]


@pytest.mark.parametrize("name", STREAMS)
def test_calls_are_read_in_every_dialect(name: str) -> None:
    """Pieces, numbers and ids, or none of them: the same calls, each with an id of its own."""
    chunks, expected = STREAMS[name]

    for stream in (chunks, [{"choices": [{"delta": {"content": "Let me see."}}]}, *chunks]):
        events = parsed(stream)

        (called,) = [event for event in events if isinstance(event, ToolsCalled)]
        found = [(call.name, json.loads(call.arguments)) for call in called.calls]
        assert found == [(tool, json.loads(arguments)) for tool, arguments in expected]
        ids = {call.id for call in called.calls}
        assert len(ids) == len(expected)
        assert "" not in ids


def test_calls_that_were_cut_are_not_made() -> None:
    """A turn that ended at the limit of tokens may have lost arguments."""
    cut = [chunk(piece(index=0, id="c", name="now", arguments='{"zo')), chunk(finish="length")]

    with pytest.raises(EmptyAnswer):
        parsed(cut)
    events = parsed([{"choices": [{"delta": {"content": "Let me"}}]}, *cut])
    assert not [event for event in events if isinstance(event, ToolsCalled)]


async def test_turns_with_calls_are_sent_back_as_each_provider_wants_them(
    harness: ProviderHarness,
) -> None:
    """Results follow their calls; ids, signatures and reasoning are what the provider gave or takes."""
    turn = ToolRound(
        "Let me see.",
        (
            ToolCall("call_1", "now", A[1], '{"google": {"thought_signature": "sig"}}'),
            ToolCall("x91PevKs2", "add", "{"),
        ),
        ("noon", "[no]"),
        '{"reasoning_content": "why", "reasoning_details": [{"type": "reasoning.text", "text": "why"}]}',
    )
    request = ModelRequest(
        ModelRef("any", "m"), "", [ChatMessage(Role.USER, "Hi")], tools=[TOOL], rounds=[turn]
    )
    sent: dict[ProviderKind, Any] = {}

    async def answer(received: ReceivedRequest, to: ResponseWriter) -> None:
        bodies.append(received.body)
        await to.answer(delta("Noon") + delta("", "stop") + DONE)

    for kind in ("openai", "gemini", "mistral", "deepseek", "openrouter"):
        bodies: list[Any] = []
        async with ScriptedServer(answer).running() as server:
            events = await read(harness.provider(server.url, kind=kind), request)
        assert text_of(events) == "Noon"
        sent[kind] = bodies[0]

    for body in sent.values():
        assert [message["role"] for message in body["messages"]] == [
            "user",
            "assistant",
            "tool",
            "tool",
        ]
        said, *results = body["messages"][1:]
        assert [call["id"] for call in said["tool_calls"]] == [
            each["tool_call_id"] for each in results
        ]
        assert [each["content"] for each in results] == ["noon", "[no]"]
        assert said["tool_calls"][1]["function"]["arguments"] == "{}"
        assert body["tools"][0]["function"]["name"] == "time__now"
    calls = {kind: body["messages"][1]["tool_calls"] for kind, body in sent.items()}
    assert [len(call["id"]) for call in calls["mistral"]] == [9, 9]
    assert "extra_content" in calls["gemini"][0]
    assert "extra_content" not in calls["openai"][0]
    assert sent["deepseek"]["messages"][1]["reasoning_content"] == "why"
    assert sent["openrouter"]["messages"][1]["reasoning_details"]
    assert not {"reasoning_content", "reasoning_details"} & set(sent["openai"]["messages"][1])


REFUSALS = (
    (404, {"error": {"message": "No endpoints found that support tool use. To learn more…", "code": 404}}),
    (400, {"error": {"message": "registry.ollama.ai/library/gemma:2b does not support tools"}}),
    (400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'}}),
    (500, {"error": {"message": "tools param requires --jinja flag", "code": 500}}),
    (422, {"error": {"message": "Unrecognized request argument supplied: tools"}}),
    (400, {"error": "Function calling is not supported for this model"}),
)  # fmt: skip


async def test_a_model_without_tools_is_asked_once_more_without_them(
    harness: ProviderHarness,
) -> None:
    """A refused parameter is left out, what was called is told as words, and the model is remembered."""
    turn = ToolRound("", (ToolCall("c", "now", "{}"),), ("noon",))
    request = ModelRequest(
        ModelRef("any", "m"), "", [ChatMessage(Role.USER, "Hi")], tools=[TOOL], rounds=[turn]
    )
    for status, refusal in REFUSALS:
        bodies: list[Any] = []

        async def answer(
            received: ReceivedRequest,
            to: ResponseWriter,
            status: int = status,
            refusal: Any = refusal,
            bodies: list[Any] = bodies,
        ) -> None:
            bodies.append(received.body)
            if "tools" in received.body:
                await to.answer(json.dumps(refusal).encode(), status, "application/json")
            else:
                await to.answer(delta("Noon") + delta("", "stop") + DONE)

        refusing = ProcessMemory()
        async with ScriptedServer(answer).running() as server:
            provider = harness.provider(server.url)
            for _ in range(2):
                try:
                    events = stream_offering_tools(provider.stream, request, refusing)
                    said = [event.text async for event in events if isinstance(event, TextDelta)]
                except ProviderError as error:
                    raise AssertionError(f"{refusal} was taken for {error!r}") from error
                assert said == ["Noon"]

        assert ["tools" in body for body in bodies] == [True, False, False]
        roles = [message["role"] for message in bodies[-1]["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert "noon" in bodies[-1]["messages"][-1]["content"]

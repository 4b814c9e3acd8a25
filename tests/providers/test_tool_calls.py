"""Calls of tools in every dialect: in streams byte for byte, in requests, and for models that have no tools."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from bot.domain import ModelRef, Role
from bot.errors import EmptyAnswer, ProviderError
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind
from bot.providers.refusals import ProcessMemory, stream_without_refused
from bot.providers.stream_parser import StreamParser
from bot.providers.without_tools import tools
from bot.stream_events import TextDelta, ToolsCalled
from bot.tool_calls import Tool, ToolCall, ToolRound, parsed_arguments
from tests.providers.harness import ProviderHarness, read, text_of
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
    streaming,
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
NO_ARGUMENTS: tuple[Any, ...] = (None, "", " ", "null", "{}", {}, [], "[]", '""', "\n{}\n")
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
    "a pair in two halves, and half a pair": (
        [
            chunk(piece(index=0, id="c1", name="now", arguments='{"zone": "\ud83d')),
            chunk(piece(index=0, arguments='\ude00 \ud83d"}')),
            chunk(finish="tool_calls"),
        ],
        [("now", '{"zone": "😀 \ufffd"}')],
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
    "vLLM: an id of its own in every piece": (
        [chunk(piece(index=0, id="chatcmpl-tool-1", name="now", arguments="")),
         chunk(piece(index=0, id="chatcmpl-tool-2", arguments='{"zone": ')),
         chunk(piece(index=0, id="chatcmpl-tool-3", arguments='"Berlin"}')), chunk(finish="tool_calls")],
        [A],
    ),
    "every number is 0, and no ids": (
        [chunk(piece(index=0, name="now", arguments=A[1]), piece(index=0, name="add", arguments=B[1])),
         chunk(piece(index=0, name="now", arguments='{"zone": "Oslo"}')), chunk(finish="stop")],
        [A, B, ("now", '{"zone": "Oslo"}')],
    ),
    "every number is 0, id in the first piece of each": (
        [chunk(piece(index=0, id="call_x", name="now", arguments="")), chunk(piece(index=0, id="", arguments=A[1])),
         chunk(piece(index=0, id="call_y", name="now", arguments="")),
         chunk(piece(index=0, id="", arguments='{"zone": ')), chunk(piece(index=0, id="", arguments='"Oslo"}')),
         chunk(finish="tool_calls")],
        [A, ("now", '{"zone": "Oslo"}')],
    ),
    "one id for all, no numbers": (
        [chunk(piece(id="call", name="now", arguments=A[1]), piece(id="call", name="now", arguments='{"zone": "Oslo"}'),
               piece(id="call", name="add", arguments='{"a": 1, ')),
         chunk(piece(id="call", arguments='"b": 2}')), chunk(finish="tool_calls")],
        [A, ("now", '{"zone": "Oslo"}'), B],
    ),
    "interleaved by ids, no numbers": (
        [chunk(piece(id="c1", name="now", arguments='{"zone"'), piece(id="c2", name="add", arguments='{"a": 1,')),
         chunk(piece(id="c2", arguments=' "b": 2}'), piece(id="c1", arguments=': "Berlin"}')),
         chunk(finish="tool_calls")],
        [A, B],
    ),
    "an id like those that are made up": (
        [chunk(piece(index=0, name="now", arguments=A[1]), piece(index=1, id="call_0", name="add", arguments=B[1])),
         chunk(finish="tool_calls")],
        [A, B],
    ),
    "the name in pieces": (
        [chunk(piece(index=0, id="c1", name="ba", arguments="")), chunk(piece(index=0, id="c1", name="na")),
         chunk(piece(index=0, name="na", arguments="")), chunk(piece(index=0, arguments=A[1])),
         chunk(finish="tool_calls")],
        [("banana", A[1])],
    ),
    "the name in every piece, numbers alone": (
        [chunk(piece(index=0, name="now", arguments="")), chunk(piece(index=0, name="now", arguments='{"zone": ')),
         chunk(piece(index=0, name="now", arguments='"Berlin"}')), chunk(piece(index=0, name="now", arguments="")),
         chunk(finish="tool_calls")],
        [A],
    ),
    "an empty object before the arguments": (
        [chunk(piece(index=0, id="c1", name="now", arguments="{}")), chunk(piece(index=0, arguments='{"zone": ')),
         chunk(piece(index=0, arguments='"Berlin"}')), chunk(finish="tool_calls")],
        [A],
    ),
    "arguments that are none": (
        [chunk(*(piece(index=number, id=f"c{number}", name="list", arguments=none)
                 for number, none in enumerate(NO_ARGUMENTS))),
         chunk(finish="tool_calls")],
        [("list", "{}")] * 10,
    ),
    "an object within a string": (
        [chunk(piece(index=0, id="c1", name="now", arguments=json.dumps(A[1]))), chunk(finish="tool_calls")], [A],
    ),
    "numbers that are words or null": (
        [chunk(piece(index="0", id="c1", name="now", arguments=A[1]), piece(index=None, id="c2", name="add",
               arguments=B[1])), chunk(finish="tool_calls")],
        [A, B],
    ),
    "a call that stands in place of a list": (
        [{"choices": [{"delta": {"tool_calls": piece(id="c1", name="now", arguments=A[1])}}]}, chunk(finish="stop")],
        [A],
    ),
    "forty at once": (
        [chunk(*(piece(index=n, id=f"c{n}", name="add", arguments=json.dumps({"a": n})) for n in range(40)),
               finish="tool_calls")],
        [("add", json.dumps({"a": n})) for n in range(40)],
    ),
    "the end before the calls": (
        [chunk(finish="stop", content=""), chunk(piece(index=0, id="c1", name="now", arguments=A[1])),
         {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}],
        [A],
    ),
    "DeepSeek: reasoning, then white space, then calls": (
        [chunk(role="assistant", content=None, reasoning_content="Let me "),
         chunk(content="\n\n"), chunk(piece(index=0, id="call_00_x", type="function", name="now", arguments="")),
         chunk(piece(index=0, arguments=A[1])),
         {"choices": [{"index": 0, "delta": {"content": "", "reasoning_content": None}, "finish_reason": "tool_calls"}],
          "usage": {"prompt_tokens": 7, "completion_tokens": 3}}],
        [A],
    ),
    "Mistral: thinking parts, then calls": (
        [chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]),
         chunk(piece(id="D681PevKs", index=0, name="now", arguments=A[1]), content="", finish="tool_calls")],
        [A],
    ),
}  # fmt: skip


def parsed(chunks: Sequence[Any], *, ascii_only: bool = False) -> list[Any]:
    """The events of a stream. `ascii_only`: all other characters are escaped."""
    parser = StreamParser()
    events: list[Any] = []
    for each in chunks:
        events += parser.feed(data(json.dumps(each) if ascii_only else each))
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


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "stop"])
def test_an_end_by_calls_without_any_is_the_end(finish: str) -> None:
    """Servers say so of plain answers, too, and send an empty list of calls."""
    empty: dict[str, Any] = {"choices": [{"delta": {"tool_calls": [], "function_call": None}}]}
    said = {"choices": [{"delta": {"content": "Noon."}}]}

    events = parsed([empty, said, empty, chunk(finish=finish)])
    assert text_of(events) == "Noon."
    assert not [event for event in events if isinstance(event, ToolsCalled)]
    with pytest.raises(EmptyAnswer):
        parsed([empty, chunk(finish=finish)])


def test_arguments_that_cannot_be_read_are_told_as_they_came() -> None:
    """Also those that are nested without end."""
    for arguments in ('{"zone"', "noon", "[1]", "3", "[" * 100_000):
        events = parsed(
            [chunk(piece(index=0, name="now", arguments=arguments), finish="tool_calls")]
        )
        (called,) = [event for event in events if isinstance(event, ToolsCalled)]
        assert called.calls[0].arguments == arguments
        with pytest.raises(ValueError, match=r"JSON|nested|delimiter|value"):
            parsed_arguments(called.calls[0])


def test_characters_in_arguments_are_whole() -> None:
    """Halves that two pieces share are joined; a half alone is replaced, and what no JSON may hold is no argument."""
    halves = [chunk(piece(index=0, name="now", arguments='{"zone": "\ud83d')),
              chunk(piece(index=0, arguments='\ude00"}'), reasoning_content="\ud83d")]  # fmt: skip
    events = parsed([*halves, chunk(finish="tool_calls")], ascii_only=True)
    (called,) = [event for event in events if isinstance(event, ToolsCalled)]
    assert parsed_arguments(called.calls[0]) == {"zone": "\U0001f600"}
    assert json.loads(called.extra) == {"reasoning_content": "\ufffd"}
    assert parsed_arguments(ToolCall("c", "now", r'{"zone": "\ud83d"}')) == {"zone": "\ufffd"}
    with pytest.raises(ValueError, match="compliant"):
        parsed_arguments(ToolCall("c", "now", '{"zone": NaN}'))


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


FOREIGN = ToolRound(
    "\n",
    (
        ToolCall("functions.now:0", "functions.now the time", A[1]),
        ToolCall("chatcmpl-tool-0123456789abcdef0123456789abcdef", "now", "null"),
        ToolCall("call_1", "now", "{}"),
    ),
    ("noon", "", "noon"),
)
"""A turn of another provider's model, which invented a name."""


async def test_turns_of_another_provider_are_sent_in_the_form_of_this_one(
    harness: ProviderHarness,
) -> None:
    """A chat goes on with another model: ids, names and texts are such that no provider refuses them."""
    history = [
        ChatMessage(Role.USER, "Hi"),
        ChatMessage(Role.ASSISTANT, "It is noon.", rounds=(FOREIGN,)),
        ChatMessage(Role.USER, "And now?"),
    ]
    request = ModelRequest(ModelRef("any", "m"), "", history, tools=[TOOL], rounds=[FOREIGN])
    kinds: dict[ProviderKind, str] = {
        "openai": ".{1,40}",
        "anthropic": "[a-zA-Z0-9_-]{1,64}",
        "mistral": "[a-zA-Z0-9]{9}",
        "gemini": ".+",
        "deepseek": ".+",
        "groq": ".+",
    }
    for kind, form in kinds.items():
        server = ScriptedServer(streaming(delta("Noon"), delta("", "stop"), DONE))
        async with server.running():
            await read(harness.provider(server.url, kind=kind), request)
        messages = server.received[0].body["messages"]

        said = [message for message in messages if message.get("tool_calls")]
        calls = [call for message in said for call in message["tool_calls"]]
        results = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
        assert [call["id"] for call in calls] == results
        assert len(set(results)) == 6
        assert all(re.fullmatch(form, id_) for id_ in results), kind
        names = [call["function"]["name"] for call in calls]
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names)
        assert {call["function"]["arguments"] for call in calls} == {A[1], "{}"}
        assert [message["content"] for message in said] == [None, None]
        written = [message for message in messages if message["role"] == "assistant"]
        told = {message.get("reasoning_content") for message in written}
        assert told == ({""} if kind == "deepseek" else {None})


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
                    events = stream_without_refused(provider.stream, request, [tools(refusing)])
                    said = [event.text async for event in events if isinstance(event, TextDelta)]
                except ProviderError as error:
                    raise AssertionError(f"{refusal} was taken for {error!r}") from error
                assert said == ["Noon"]

        assert ["tools" in body for body in bodies] == [True, False, False]
        roles = [message["role"] for message in bodies[-1]["messages"]]
        assert roles == ["user", "assistant", "user"]
        assert "noon" in bodies[-1]["messages"][-1]["content"]

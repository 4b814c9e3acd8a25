"""Tool calls in the streams of every dialect, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from bot.domain.stream_events import ToolsCalled
from bot.domain.tool_calls import ToolCall, parsed_arguments
from bot.errors import EmptyAnswer
from bot.providers.stream_parser import StreamParser
from tests.providers.harness import text_of
from tests.providers.scripted_server import (
    DONE,
    data,
)


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


def test_unreadable_arguments_are_passed_on_unchanged() -> None:
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

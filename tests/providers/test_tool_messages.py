"""Turns with tool calls as they are sent back, to models with tools and to those without."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

from bot.domain import ModelRef, Role
from bot.domain.stream_events import TextDelta
from bot.domain.tool_calls import Tool, ToolCall, ToolRound
from bot.errors import ProviderError
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind
from bot.providers.refusals.parts import ProcessMemory, stream_without_refused
from bot.providers.refusals.without_tools import single_tools, tools, unsigned_calls
from tests.providers.harness import ProviderHarness, read, text_of
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    delta,
    streaming,
)

TOOL = Tool("time__now", "time", "now", "Tells the time", {"type": "object", "properties": {}})
ARGUMENTS = '{"zone": "Berlin"}'


async def test_turns_with_calls_are_sent_back_as_each_provider_wants_them(
    harness: ProviderHarness,
) -> None:
    """Results follow their calls; ids, signatures and reasoning are what the provider gave or accepts."""
    turn = ToolRound(
        "Let me see.",
        (
            ToolCall("call_1", "now", ARGUMENTS, '{"google": {"thought_signature": "sig"}}'),
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
        ToolCall("functions.now:0", "functions.now the time", ARGUMENTS),
        ToolCall("chatcmpl-tool-0123456789abcdef0123456789abcdef", "now", "null"),
        ToolCall("call_1", "now", "{}"),
    ),
    ("noon", "", "noon"),
)
"""A turn of another provider's model, which invented a name."""


async def test_turns_of_another_provider_are_sent_in_the_form_of_this_one(
    harness: ProviderHarness,
) -> None:
    """When a chat continues with another model, ids, names and texts are acceptable to every provider."""
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
        assert {call["function"]["arguments"] for call in calls} == {ARGUMENTS, "{}"}
        assert [message["content"] for message in said] == [None, None]
        written = [message for message in messages if message["role"] == "assistant"]
        told = {message.get("reasoning_content") for message in written}
        assert told == ({""} if kind == "deepseek" else {None})


BRANCHED = {
    "$schema": "x",
    "$defs": {"byName": {"properties": {"name": {"type": "string"}}, "required": ["name"]}},
    "oneOf": [{"$ref": "#/$defs/byName"}, {"properties": {"id": {"type": "integer"}}}, 7],
    "not": {"required": ["name", "id"]},
}


async def test_one_refused_tool_does_not_cost_the_others(harness: ProviderHarness) -> None:
    """Alternatives at the top of a schema are one object; what is refused all the same is left out alone, and known."""
    names = ("web__odd", "web__fine", "web__odd_too", "web__branched", "web__placed")
    schemas: list[dict[str, Any]] = [
        {"properties": {"$odd": {}}},
        {},
        {"properties": {"$odd": {}}},
        BRANCHED,
        {"properties": {"@": {}}},
    ]
    offered = [
        Tool(name, "web", name, "", schema) for name, schema in zip(names, schemas, strict=True)
    ]
    request = ModelRequest(ModelRef("any", "m"), "", [ChatMessage(Role.USER, "Hi")], tools=offered)
    bodies: list[Any] = []

    async def answer(received: ReceivedRequest, to: ResponseWriter) -> None:
        bodies.append(received.body)
        functions = [tool["function"] for tool in received.body.get("tools", [])]
        for place, function in enumerate(functions):
            properties, refusal = function["parameters"]["properties"], ""
            if "$odd" in properties:
                refusal = f"Invalid schema for function '{function['name']}': bad property"
            elif "@" in properties:
                refusal = (
                    f"tools.{place}.custom.input_schema.properties: Property keys should match"
                )
            if refusal:
                await to.answer(
                    json.dumps({"error": {"message": refusal}}).encode(), 400, "application/json"
                )
                return
        await to.answer(delta("Noon") + delta("", "stop") + DONE)

    memories: dict[str, ProcessMemory] = defaultdict(ProcessMemory)
    async with ScriptedServer(answer).running() as server:
        for _ in range(2):
            parts = [
                *single_tools(request, lambda tool: memories[tool.pin]),
                tools(ProcessMemory()),
            ]
            asked = stream_without_refused(harness.provider(server.url).stream, request, parts)
            assert text_of([event async for event in asked]) == "Noon"
    assert len(bodies) == 5
    described = {
        tool["function"]["name"]: tool["function"]["parameters"] for tool in bodies[-1]["tools"]
    }
    assert list(described) == ["web__fine", "web__branched"]
    branched = described["web__branched"]
    assert set(branched["properties"]) == {"name", "id"}
    assert set(branched) == {"type", "properties", "$defs"}


OWN = ToolRound(
    "", (ToolCall("c", "now", "{}", '{"google": {"thought_signature": "s"}}'),), ("noon",)
)
MISSING = "Function call is missing a thought_signature in functionCall parts. This is required for tools to work."


async def test_calls_without_a_signature_are_sent_in_an_acceptable_form(
    harness: ProviderHarness,
) -> None:
    """Gemini gets its own ones back and a note in place of those of others; a proxy that wants some gets words."""

    async def answer(received: ReceivedRequest, to: ResponseWriter) -> None:
        bodies.append(received.body)
        firsts = [m["tool_calls"][0] for m in received.body["messages"] if "tool_calls" in m]
        if (
            all("extra_content" in call for call in firsts)
            or "gemini-3" not in received.body["model"]
        ):
            await to.answer(delta("Noon") + delta("", "stop") + DONE)
        else:
            refusal = [{"error": {"code": 400, "message": MISSING, "status": "INVALID_ARGUMENT"}}]
            await to.answer(json.dumps(refusal).encode(), 400, "application/json")

    history = [
        ChatMessage(Role.USER, "Hi"),
        ChatMessage(Role.ASSISTANT, "It is noon.", rounds=(FOREIGN,)),
        ChatMessage(Role.USER, "And now?"),
    ]
    cases: tuple[tuple[ProviderKind, str, int], ...] = (
        ("gemini", "gemini-3-pro-preview", 1), ("gemini", "gemini-2.5-flash", 1),
        ("openai", "proxied/gemini-3-flash", 2),
    )  # fmt: skip
    for kind, model, requests in cases:
        bodies: list[Any] = []
        request = ModelRequest(ModelRef("any", model), "", history, tools=[TOOL], rounds=[OWN])
        async with ScriptedServer(answer).running() as server:
            asked = stream_without_refused(
                harness.provider(server.url, kind=kind).stream, request, [unsigned_calls()]
            )
            assert text_of([event async for event in asked]) == "Noon"
        assert len(bodies) == requests
        assert all(body["tools"] for body in bodies)
        said = [m["tool_calls"] for m in bodies[-1]["messages"] if "tool_calls" in m]
        extras = [call.get("extra_content", {}).get("google") for calls in said for call in calls]
        signatures = [extra and extra["thought_signature"] for extra in extras]
        unsigned = "skip_thought_signature_validator" if model.startswith("gemini-3") else None
        expected = [unsigned, None, None, "s"] if kind == "gemini" else []
        assert signatures == expected, model
        assert ("[Called now with {}]" in str(bodies[-1]["messages"])) is (kind == "openai")


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
    """A refused parameter is left out, the calls made so far are sent as text, and the model is remembered."""
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

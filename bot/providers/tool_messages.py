"""Writes tools, and the turns that called them, in the form that providers expect. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.domain import Role
from bot.domain.tool_calls import Tool, ToolCall, ToolRound, parsed_arguments
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind
from bot.providers.request_body import AttachmentUrls

MAX_TOOLS = 128
"""Tools of one request: OpenAI and Groq refuse more."""
_RETURNED_EXTRA: Mapping[ProviderKind, tuple[str, ...]] = {
    "deepseek": ("reasoning_content",),
    "openrouter": ("reasoning_details",),
    "venice": ("reasoning_details",),
}
"""What these providers want back with a turn that called tools; others may reject unknown fields."""
BEFORE_PICTURES = "[The pictures follow]"
_REASONED: ProviderKind = "deepseek"
"""This provider wants its reasoning back in all turns of a chat that called tools, and accepts an empty one if there is
none.
"""
_SIGNS_NOTHING = re.compile(r"gemini-[12]|gemma|learnlm")
_UNSIGNED = {"google": {"thought_signature": "skip_thought_signature_validator"}}
_NOT_AT_THE_TOP = frozenset(
    {"$schema", "allOf", "anyOf", "oneOf", "not", "enum", "const", "if", "then", "else"}
)
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_IDS: Mapping[ProviderKind, re.Pattern[str]] = {
    "mistral": re.compile(r"[a-zA-Z0-9]{9}"),
    "anthropic": re.compile(r"[a-zA-Z0-9_-]{1,64}"),
}
_ANY_ID = re.compile(r".{1,40}|.{65,}", re.DOTALL)
"""OpenAI accepts 40 characters at most, vLLM generates 46, and much longer ids contain a router's state, as with
LiteLLM.
"""


def tool_fields(request: ModelRequest) -> dict[str, Any]:
    """The fields of a request that offer tools."""
    if not request.tools:
        return {}
    fields: dict[str, Any] = {"tools": [_described(tool) for tool in request.tools[:MAX_TOOLS]]}
    if not request.may_call:
        fields["tool_choice"] = "none"
    return fields


def _described(tool: Tool) -> dict[str, Any]:
    parameters = _one_object(tool.schema)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _one_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without alternatives at its top level, which OpenAI and Anthropic reject; it has the fields of all
    alternatives.
    """
    kept = {key: value for key, value in schema.items() if key not in _NOT_AT_THE_TOP}
    made = {"type": "object", "properties": {}} | kept
    for branch in _branches(schema):
        given = branch.get("properties")
        made["properties"] = (given if isinstance(given, dict) else {}) | made["properties"]
    return made


def _branches(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in ("allOf", "anyOf", "oneOf"):
        given = schema.get(key)
        for branch in given if isinstance(given, list) else ():
            if isinstance(branch, dict):
                yield _referred(branch, schema)


def _referred(branch: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition that a branch refers to; else the branch itself."""
    _, _, name = str(branch.get("$ref", "")).rpartition("/")
    for key in ("$defs", "definitions"):
        definitions = schema.get(key)
        found = definitions.get(name) if isinstance(definitions, dict) else None
        if isinstance(found, dict):
            return found
    return branch


def round_messages(
    rounds: Iterable[ToolRound], kind: ProviderKind, urls: AttachmentUrls
) -> Iterator[dict[str, Any]]:
    """The messages of turns that called tools: each turn, then the results of its calls, pictures last.

    Most servers accept no pictures in messages with the role `tool`, so a user message shows them. Mistral's models
    accept no user message directly after a tool's, so an assistant message comes between.
    """
    for turn in rounds:
        text = turn.text if turn.text.strip() else None  # Anthropic rejects white space alone
        message: dict[str, Any] = {"role": "assistant", "content": text}
        message["tool_calls"] = [_written(call, kind) for call in turn.calls]
        extra = json.loads(turn.extra) if turn.extra else {}
        yield message | {key: extra[key] for key in _RETURNED_EXTRA.get(kind, ()) if key in extra}
        for call, result in zip(turn.calls, turn.results, strict=True):
            yield {"role": "tool", "tool_call_id": _id(call, kind), "content": result}
        if turn.all_pictures:
            yield {"role": "assistant", "content": BEFORE_PICTURES}
            yield {"role": "user", "content": list(_shown_pictures(turn, urls))}


def _shown_pictures(turn: ToolRound, urls: AttachmentUrls) -> Iterator[dict[str, Any]]:
    for call, pictures in zip(turn.calls, turn.pictures, strict=True):
        for picture in pictures:
            yield {"type": "text", "text": f"[{picture.name} that {call.name} returned:]"}
            yield {"type": "image_url", "image_url": {"url": urls.url(picture)}}


def _written(call: ToolCall, kind: ProviderKind) -> dict[str, Any]:
    name = _NO_NAME.sub("_", call.name)[:64]  # models invent some that servers refuse to read again
    function = {"name": name, "arguments": _valid_arguments(call)}
    written: dict[str, Any] = {"id": _id(call, kind), "type": "function", "function": function}
    if call.extra and kind in ("gemini", "openrouter"):
        written["extra_content"] = json.loads(call.extra)
    return written


def _valid_arguments(call: ToolCall) -> str:
    """The arguments; those that are not a JSON object are replaced, because servers refuse to read them again."""
    try:
        parsed_arguments(call)
    except ValueError:
        return "{}"
    return call.arguments or "{}"


def _id(call: ToolCall, kind: ProviderKind) -> str:
    """The call's id, or one that this provider accepts, since the call may come from another provider."""
    if _IDS.get(kind, _ANY_ID).fullmatch(call.id):
        return call.id
    return hashlib.sha256(call.id.encode()).hexdigest()[:9]


def with_unique_ids(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same messages, in which no two calls have the same id: models number them from the start in each turn."""
    used: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    made = []
    for message in messages:
        if "tool_calls" in message:
            renamed = {call["id"]: _unused(call["id"], used) for call in message["tool_calls"]}
            calls = [{**call, "id": renamed[call["id"]]} for call in message["tool_calls"]]
            made.append({**message, "tool_calls": calls})
        elif message["role"] == "tool":
            made.append({**message, "tool_call_id": renamed[message["tool_call_id"]]})
        else:
            made.append(dict(message))
    return made


def with_reasoning(
    messages: Sequence[Mapping[str, Any]], kind: ProviderKind
) -> list[dict[str, Any]]:
    """The same messages, with the reasoning that the provider requires in turns without any, or made by other
    models.
    """
    if kind != _REASONED or not any("tool_calls" in message for message in messages):
        return [dict(message) for message in messages]
    missing = {"reasoning_content": ""}
    return [
        {**(missing if message["role"] == "assistant" else {}), **message} for message in messages
    ]


def with_signatures(
    messages: Sequence[Mapping[str, Any]], kind: ProviderKind, model: str
) -> list[dict[str, Any]]:
    """The same messages, with a placeholder for the signature in turns that another model made.

    From version 3 on, Gemini rejects a turn whose first call has no signature:
    ai.google.dev/gemini-api/docs/thought-signatures.
    """
    if kind != "gemini" or _SIGNS_NOTHING.search(model):
        return [dict(message) for message in messages]
    return [_signed(message) if "tool_calls" in message else dict(message) for message in messages]


def _signed(message: Mapping[str, Any]) -> dict[str, Any]:
    first, *rest = message["tool_calls"]
    return {**message, "tool_calls": [{"extra_content": _UNSIGNED, **first}, *rest]}


def _unused(id_: str, used: Counter[str]) -> str:
    """The id, or one for its next use, in a form that every server accepts."""
    used[id_] += 1
    if used[id_] == 1:
        return id_
    return hashlib.sha256(f"{id_} {used[id_]}".encode()).hexdigest()[:9]


def as_text(request: ModelRequest) -> ModelRequest:
    """The same request for a model without tools: calls and results as text."""
    return replace(with_calls_as_text(request), tools=())


def with_calls_as_text(request: ModelRequest) -> ModelRequest:
    """The same request, with tools, for a model that rejects calls made by other models."""
    turns = [message for turn in request.rounds for message in _as_text_messages(turn)]
    messages = [*without_rounds(request.messages), *turns]
    return replace(request, rounds=(), messages=messages)


def without_rounds(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """The same messages, with calls and results as messages."""
    made: list[ChatMessage] = []
    for message in messages:
        for turn in message.rounds:
            made += _as_text_messages(turn)
        made.append(replace(message, rounds=()))
    return made


def _as_text_messages(turn: ToolRound) -> Sequence[ChatMessage]:
    called = "\n".join(f"[Called {call.name} with {call.arguments}]" for call in turn.calls)
    returned = "\n\n".join(
        f"[What {call.name} returned:]\n{result}"
        for call, result in zip(turn.calls, turn.results, strict=True)
    )
    text = "\n\n".join(text for text in (turn.text, called) if text)
    return ChatMessage(Role.ASSISTANT, text), ChatMessage(Role.USER, returned, turn.all_pictures)

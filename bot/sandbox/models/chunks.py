"""The pieces of an answer as a server in the OpenAI format streams them. No I/O."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from bot.sandbox.models.scripts import Citation, Picture, Piece, RawBytes, Reasoning, ToolCall


def piece_bytes(piece: Piece, model: str) -> bytes:
    if isinstance(piece, RawBytes):
        return piece.data
    if isinstance(piece, Picture):
        url = f"data:{piece.mime};base64,{base64.b64encode(piece.data).decode()}"
        return event_bytes({"images": [{"type": "image_url", "image_url": {"url": url}}]}, model)
    return event_bytes(_delta(piece), model)


def _delta(piece: str | Reasoning | Citation | ToolCall) -> dict[str, Any]:
    if isinstance(piece, str):
        return {"content": piece}
    if isinstance(piece, Reasoning):
        return {"reasoning": piece.text}
    if isinstance(piece, ToolCall):
        function = {"name": piece.name, "arguments": json.dumps(piece.arguments)}
        call = {"index": 0, "id": f"call_{secrets.token_hex(6)}", "type": "function"}
        return {"tool_calls": [call | {"function": function}]}
    page = {"url": piece.url, "title": piece.title}
    return {"annotations": [{"type": "url_citation", "url_citation": page}]}


def event_bytes(delta: Mapping[str, Any], model: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return line_bytes({"object": "chat.completion.chunk", "model": model, "choices": [choice]})


def line_bytes(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"

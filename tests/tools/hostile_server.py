"""A local tool server that breaks every rule. Run as a script; each list is a line in the file that it is given.

A second argument is the method that it never answers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

SECRET = "a result that no log may have"
ENDLESS = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
"""A schema of results whose check would take years."""
GO: dict[str, Any] = {"name": "go", "inputSchema": {"type": "object"}, "outputSchema": ENDLESS}
MUTE = {**GO, "name": "mute", "outputSchema": {"type": "object", "required": ["y"]}}
TOOLS: list[Any] = [
    GO,
    {**GO, "description": "The same name twice."},
    MUTE,
    {"name": "<!channel> é/..", "inputSchema": {"type": "object"}, "description": "d" * 1_000_000},
    {"name": "text", "inputSchema": {"type": "string"}},
    {"name": "list", "inputSchema": ["object"]},
    {"name": "no_schema"},
    {"name": "huge", "inputSchema": {"type": "object", "$comment": "x" * 100_000}},
    {"name": 7, "inputSchema": {"type": "object"}},
    {"name": " ", "inputSchema": {"type": "object"}},
    {"name": "\x00", "inputSchema": {"type": "object"}},
    {"name": "m" * 2_000, "inputSchema": {"type": "object"}},
    {"name": "said", "inputSchema": {"type": "object"}, "description": ["no text"]},
    "no object",
    None,
    {
        "name": "odd",
        "inputSchema": {},
        "outputSchema": 7,
        "annotations": {"readOnlyHint": "yes"},
        "icons": "none",
        "execution": [],
        "_meta": 1,
        "title": "Odd",
    },
    {"name": "n" * 500, "inputSchema": {"type": "object", "$comment": SECRET}},
]


def say(**fields: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **fields}), flush=True)


def answer(id_: Any, method: str, called: str) -> None:
    if method == "initialize":
        say(id=id_, result={"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                            "serverInfo": {"name": SECRET, "version": "1"}})  # fmt: skip
    elif method == "tools/list":
        with open(sys.argv[1], "a") as lists:
            lists.write("list\n")
        print(SECRET, flush=True)
        print(json.dumps({"jsonrpc": "2.0", "secret": SECRET}), flush=True)
        say(id=id_, result={"tools": TOOLS})
        for _ in range(1_000):
            say(method="notifications/tools/list_changed")
        ask_for_what_nobody_offers()
    elif method == "tools/call":
        sys.stdout.buffer.write(b'{"jsonrpc":"2.0","method":"\xff\xfe' + SECRET.encode() + b'"}\n')
        sys.stdout.flush()
        text = f"{SECRET} \x00\x1b[31m <!channel> ![x](http://x.example/{SECRET})"
        content = [{"type": "text", "text": text}] if called else 7
        structured = {"structuredContent": {"x": "a" * 60 + "!"}} if called == "go" else {}
        say(id=id_, result={"content": content, **structured})
    else:
        say(id=id_, error={"code": -32601, "message": SECRET})


def ask_for_what_nobody_offers() -> None:
    told = {"role": "user", "content": {"type": "text", "text": SECRET}}
    say(id=77, method="sampling/createMessage", params={"messages": [told], "maxTokens": 9})
    say(id=78, method="roots/list")
    schema = {"type": "object", "properties": {}}
    say(id=79, method="elicitation/create", params={"message": SECRET, "requestedSchema": schema})


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked and "method" in asked and asked["method"] not in sys.argv[2:]:
            parameters = asked.get("params", {})
            called = "" if "nonsense" in str(parameters) else parameters.get("name", "")
            answer(asked["id"], asked["method"], called)

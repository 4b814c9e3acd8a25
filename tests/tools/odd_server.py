"""A local server of tools whose results are odd, each in its own way: its tool's. Run as a script.

An argument is the version of the protocol that it wants to speak.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

LINK = {"type": "resource_link", "uri": "https://x.example/<!channel>", "name": "n <@U1>"}
RESULTS: dict[str, dict[str, Any]] = {
    "pid": {"content": [{"type": "text", "text": f"I am {os.getpid()}."}]},
    "newer": {"content": [{"type": "hologram", "data": "x"}, LINK, 7, {"type": "text", "text": "end"}]},
    "annotated": {"content": [{"type": "text", "text": "said", "annotations": "none"}]},
    "structured": {"structuredContent": {"a": [1, "ü"]}},
    "null": {"content": None, "structuredContent": [1]},
    "empty": {"content": []},
    "failing": {"content": [{"type": "text", "text": "no such thing"}], "isError": True},
}  # fmt: skip
ERRORS = {"internal": -32603, "custom": -32000, "own": 17, "wants_url": -32042, "unknown": -32602}


def say(**fields: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **fields}), flush=True)


def call(id_: Any, name: str, token: Any) -> None:
    for done in range(3):
        progress = {"progressToken": token, "progress": done, "message": "x" * 100_000}
        say(method="notifications/progress", params=progress)
    say(method="notifications/tools/list_changed")
    if name in ERRORS:
        say(id=id_, error={"code": ERRORS[name], "message": f"no {name}\nat all"})
    else:
        say(id=id_, result=RESULTS[name])


def answer(id_: Any, method: str, parameters: dict[str, Any]) -> None:
    if method == "initialize":
        version = sys.argv[1] if sys.argv[1:] else "2025-06-18"
        say(id=id_, result={"protocolVersion": version, "capabilities": {"tools": {"listChanged": True}},
                            "serverInfo": {"name": "odd", "version": "1"}})  # fmt: skip
    elif method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in (*RESULTS, *ERRORS)]
        say(id=id_, result={"tools": tools})
    elif method == "tools/call":
        call(id_, parameters["name"], parameters.get("_meta", {}).get("progressToken", "none"))
    else:
        say(id=id_, error={"code": -32601, "message": "unknown"})


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked and "method" in asked:
            answer(asked["id"], asked["method"], asked.get("params", {}))

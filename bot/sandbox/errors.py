"""Slack's refusals as exceptions. They end a call, and the Web API endpoint turns them into error responses."""

from __future__ import annotations

from typing import Any


class SlackRefusal(Exception):
    """A call answered with `ok: false`. `extra` is merged into the answer."""

    def __init__(self, error: str, *messages: str, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.extra = dict(extra)
        if messages:
            self.extra["response_metadata"] = {"messages": list(messages)}

    def answer(self) -> dict[str, Any]:
        return {"ok": False, "error": self.error, **self.extra}


class RateLimited(SlackRefusal):
    """HTTP 429; `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


class NotAcknowledged(Exception):
    """The app did not acknowledge a command, an interaction or a menu's request in time."""

    def __init__(self, name: str) -> None:
        super().__init__(f"operation_timeout: the app did not acknowledge {name} in time")
        self.name = name


class InvalidAnswer(Exception):
    """The app acknowledged with a payload that Slack rejects (e.g. 101 options)."""

    def __init__(self, error: str, messages: list[str]) -> None:
        super().__init__(f"{error}: {'; '.join(messages)}")
        self.error = error
        self.messages = messages


class WorkspaceFileError(Exception):
    """The file that keeps the workspace can't be used. The text says why, and what to do."""

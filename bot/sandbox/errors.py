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
    """The app did not acknowledge a command, an interaction or a menu's request in time, or refused it over HTTP."""

    def __init__(self, name: str, error: str = "operation_timeout") -> None:
        why = "did not acknowledge {} in time" if error == "operation_timeout" else "failed at {}"
        super().__init__(f"{error}: the app {why.format(name)}")
        self.name = name
        self.error = error


class InvalidAnswer(Exception):
    """The app acknowledged with a payload that Slack rejects (e.g. 101 options)."""

    def __init__(self, error: str, messages: list[str]) -> None:
        super().__init__(f"{error}: {'; '.join(messages)}")
        self.error = error
        self.messages = messages


class WorkspaceFileError(Exception):
    """The file that keeps the workspace can't be used. The text says why, and what to do."""


class ManifestError(Exception):
    """An app's manifest, or the address of its app, can't be used. The text names the place and the fault."""

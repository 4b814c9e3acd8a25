"""What must be true when a world ends, and which exceptions a test declares."""

from __future__ import annotations

import io
import json
from collections.abc import Set
from typing import Any

from bot.sandbox.server import Sandbox
from bot.sandbox.state.records import Thread
from handlers.rate_limits.slack_rates import RATES, UNCOUNTED
from tests.handlers.database_reader import Row

KEY = "sk-test-of-the-whole-product"


class Strictness:
    """The half of a world that judges what happened in it."""

    slack: Sandbox

    def __init__(self, log: io.StringIO) -> None:
        self.log = log
        # How the bot learns that an edited answer has opened no session.
        self._forgiven = {("", "session_not_found")}
        # The logger of the test servers, which abort connections on purpose.
        self._forgiven_loggers = {"uvicorn.error"}
        self._redelivered = False
        self._unfinished = False

    def forgive(self, *errors: str, method: str = "") -> None:
        """Slack's refusals that belong to this test; those of one method, if it is named."""
        self._forgiven |= {(method, error) for error in errors}

    def forgive_logger(self, name: str) -> None:
        """This library may call what this test does to it an error."""
        self._forgiven_loggers.add(name)

    def allow_redelivery(self) -> None:
        """In this test an event is not acknowledged at the first attempt."""
        self._redelivered = True

    def leave_unfinished(self) -> None:
        """This test ends while answers are being written."""
        self._unfinished = True

    def lines(self) -> list[Row]:
        """What was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def judge(self, said_by_models: Set[str]) -> None:
        """Fails unless all was as it must be; no log line may hold a text, such as those of the models."""
        refused = [(call.method, call.error) for call in self.slack.refusals]
        assert [each for each in refused if not {each, ("", each[1])} & self._forgiven] == []
        called = {call.method for call in self.slack.calls} - {"response_url"}  # not a method
        assert called <= RATES.keys() | UNCOUNTED
        if not self._redelivered:
            late = [
                (d.name, d.payload, d.attempts) for d in self.slack.deliveries if not on_time(d)
            ]
            assert late == [], late
        bad = [line for line in self.lines() if line["level"] in ("error", "critical")]
        assert [line for line in bad if line["logger"] not in self._forgiven_loggers] == []
        written = self.log.getvalue()
        for secret in (
            self.slack.bot_token,
            self.slack.app_token,
            self.slack.signing_secret,
            KEY,
            *self._said(said_by_models),
        ):
            assert secret not in written

        messages = [m for c in self.slack.workspace.channels.values() for m in c.messages.values()]
        assert [m.ts for m in messages if m.streaming] == [] or self._unfinished
        assert {
            (t.channel, t.thread_ts): t.status for t in self.threads() if t.status
        } == {} or self._unfinished

    def threads(self) -> list[Thread]:
        """What Slack keeps of threads beside their messages."""
        return list(self.slack.workspace.threads.values())

    def _said(self, said_by_models: Set[str]) -> set[str]:
        """Every line that a user or a model wrote."""
        people = [m for c in self.slack.workspace.channels.values() for m in c.messages.values()]
        texts = {m.typed for m in people if m.typed} | said_by_models
        lines = {line.partition("> ")[2] or line for text in texts for line in text.splitlines()}
        return {line.strip() for line in lines if len(line.strip()) >= 12}


def on_time(delivery: Any) -> bool:
    """Acknowledged at the first attempt of each copy, as soon as Slack wants it."""
    return all(attempt.acked_at is not None for attempt in delivery.attempts)

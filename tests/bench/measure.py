"""Runs one storm against the whole product, and measures the outcome."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.sandbox.models.scripts import ModelScript
from bot.sandbox.models.server import ModelRequest
from bot.sandbox.state.records import Message
from tests.bench.environment import (
    ASKER,
    Deployment,
    Environment,
    StormThread,
    open_environment,
    question_of,
)

PATIENCE = 120.0
"""Seconds after which a storm is over, whatever is missing."""
OURS = ("chat.", "assistant.", "reactions.", "conversations.", "agents.", "users.", "views.")


@dataclass(frozen=True)
class Seen:
    """How one answer became visible: lag of each word, and when something new was to be seen. Seconds."""

    lags: list[float]
    changes: list[float]
    complete: bool

    def largest_gap(self) -> float:
        return max((b - a for a, b in itertools.pairwise(self.changes)), default=0.0)


@dataclass(frozen=True)
class Outcome:
    """What a storm came to; times in seconds."""

    answers: list[Seen]
    calls: Counter[str]
    refused: int
    seconds: float
    """From the first question to the end of the last answer."""
    cpu: float
    """Processor seconds of the bot for each 1,000 words."""
    megabytes: float
    """The bot's largest resident memory seen during the storm."""
    quiet_megabytes: float = field(default=0.0)
    """The same before it."""
    start: float = field(default=0.0)
    """Seconds from the bot's first instruction to its connection with Slack."""

    @property
    def complete(self) -> int:
        return sum(seen.complete for seen in self.answers)

    @property
    def lags(self) -> list[float]:
        return sorted(lag for seen in self.answers for lag in seen.lags)

    def mean_lag(self) -> float:
        return statistics.fmean(self.lags)

    def p95_lag(self) -> float:
        return self.lags[int(len(self.lags) * 0.95)]

    def first_words(self) -> list[float]:
        """Of each answer, seconds from the model's first word to something's being visible."""
        return [seen.lags[0] for seen in self.answers if seen.lags]

    def largest_gap(self) -> float:
        return max(seen.largest_gap() for seen in self.answers)


async def storm(
    count: int,
    channels: int,
    script: ModelScript,
    deployment: Deployment | None = None,
    patience: float = PATIENCE,
) -> Outcome:
    """Asks this many questions at the same moment, in chats spread over this many channels, and watches them for
    `patience` seconds at most.
    """
    async with open_environment(count, channels, script, deployment or Deployment()) as environment:
        quiet, cpu, began = (
            environment.bot.megabytes(),
            environment.bot.cpu(),
            asyncio.get_running_loop().time(),
        )
        before = len(environment.slack.calls)
        for thread in environment.threads:
            await environment.slack.conversations.say(
                ASKER, thread.channel, thread.question, thread.root
            )
        largest = await _watch(environment, script, patience)
        seconds = asyncio.get_running_loop().time() - began
        await asyncio.sleep(0.5)
        calls = environment.slack.calls[before:]
        spent = (environment.bot.cpu() - cpu) / (count * len(script.pieces)) * 1000
        return Outcome(
            answers=_answers(environment, script),
            calls=Counter(call.method for call in calls if call.method.startswith(OURS)),
            refused=sum(call.error == "ratelimited" for call in calls),
            seconds=seconds,
            cpu=spent,
            megabytes=largest,
            quiet_megabytes=quiet,
            start=environment.start,
        )


async def _watch(environment: Environment, script: ModelScript, patience: float) -> float:
    """Waits until every answer is complete; returns the bot's peak memory until then."""
    largest, deadline = 0.0, asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < deadline:
        largest = max(largest, environment.bot.megabytes())
        if all(_ended(environment, thread, script) for thread in environment.threads):
            break
        await asyncio.sleep(0.25)
    return largest


def _ended(environment: Environment, thread: StormThread, script: ModelScript) -> bool:
    """The last message of the thread shows the end of the text and takes no more."""
    last = environment.slack.workspace.thread(thread.channel, thread.root)[-1]
    return (
        last.user == environment.slack.bot_user.id
        and not last.streaming
        and whole_text(script) in last.text
    )


def whole_text(script: ModelScript) -> str:
    return "".join(piece for piece in script.pieces if isinstance(piece, str))


def _answers(environment: Environment, script: ModelScript) -> list[Seen]:
    asked = {question_of(each): each for each in environment.models.requests()}
    return [
        _seen(environment, thread, _asked(asked, thread), whole_text(script))
        for thread in environment.threads
    ]


def _asked(asked: dict[str, ModelRequest], thread: StormThread) -> ModelRequest | None:
    return next(
        (each for question, each in asked.items() if question.endswith(thread.question)), None
    )


def _seen(
    environment: Environment, thread: StormThread, asked: ModelRequest | None, whole: str
) -> Seen:
    messages = [
        m
        for m in environment.slack.workspace.thread(thread.channel, thread.root)
        if m.user == environment.slack.bot_user.id
    ]
    return compare(messages, asked, whole, environment.slack.workspace.user(thread.owner).id)


def compare(
    messages: Sequence[Message], asked: ModelRequest | None, whole: str, viewer: str
) -> Seen:
    """Compares when the model sent each word with when it stood in the last of the messages, as `viewer` saw it."""
    if asked is None or not messages:
        return Seen([], [], complete=False)
    ends = list(itertools.accumulate(len(sent.text) for sent in asked.sent))
    lags: list[float] = []
    changes: list[float] = []
    for at, length in _growth(messages[-1], viewer, whole):
        new = [sent for sent, end in zip(asked.sent, ends, strict=True) if end <= length][
            len(lags) :
        ]
        lags += [at - sent.at for sent in new]
        changes += [at] if new else []
    now = time.time()
    lags += [now - sent.at for sent in asked.sent[len(lags) :]]  # not seen yet: longer than that
    return Seen(
        lags,
        changes,
        complete=len(messages) == 1 and whole in messages[0].text and not messages[0].streaming,
    )


def _growth(message: Message, viewer: str, whole: str) -> list[tuple[float, int]]:
    """When how much of the text was visible."""
    return [(s.at, _common(s.text, whole)) for s in message.states_for(viewer)]


def _common(text: str, whole: str) -> int:
    """How much of the beginning is the same: an edit may end with marks of its own."""
    if whole.startswith(text):
        return len(text)
    return next(
        (n for n, (left, right) in enumerate(zip(text, whole, strict=False)) if left != right),
        len(whole),
    )

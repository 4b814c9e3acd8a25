"""How soon Slack's events are acknowledged: two hundred a second, most of them nothing for the bot.

    python -m tests.bench.events [--rate 200] [--seconds 30] [--only socket-sqlite …]

What people say to each other in channels and threads, edits, joins and other bots come at this rate to one process, and
one event in a hundred is a question in a chat. Slack is the sandbox in this process, which keeps the time from an
event's leaving to its acknowledgement's coming back.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from bot.sandbox.journal import Delivery
from bot.sandbox.limits import Limits
from tests import redis_service, services
from tests.bench.environment import ASKER, Deployment, Environment, open_environment, script

ACKNOWLEDGED_WITHIN = 0.5
QUESTION_EVERY = 100
"""One in this many events is a question."""
SAID = "Has anybody seen the minutes of Thursday's meeting? I think they were in the shared folder, or were they."
ANSWER_WORDS, ANSWER_RATE = 60, 40.0
PATIENCE = 120.0
"""Seconds that the answers may take after the last event; Slack's budgets let through what they let through."""


@dataclass(frozen=True)
class Outcome:
    waits: list[float]
    """Seconds to the acknowledgement of each event, sorted."""
    late: int
    """Events that had to be sent again or were never acknowledged."""
    whole: int
    asked: int
    cpu: float
    """Of one core, while the events came."""

    def at(self, share: float) -> float:
        return self.waits[min(len(self.waits) - 1, int(len(self.waits) * share))]


class Chatter:
    """Events as a busy workspace makes them."""

    def __init__(self, environment: Environment, channels: list[str]) -> None:
        self._environment, self._channels, self._chance = environment, channels, random.Random(5)
        self._people = [
            environment.slack.workspace.user(name).id for name in ("alice", "bob", "carol", "dan")
        ]

    def next(self) -> dict[str, Any]:
        """Nine messages in ten, half of them in threads; the rest is what needs no answer from anybody."""
        kind = self._chance.random()
        ts, channel = (
            self._environment.slack.workspace.next_ts(),
            self._chance.choice(self._channels),
        )
        said = {
            "type": "message",
            "channel": channel,
            "channel_type": "channel",
            "ts": ts,
            "event_ts": ts,
        }
        author = {"user": self._chance.choice(self._people), "text": SAID, "client_msg_id": ts}
        if kind < 0.45:
            return {
                **said,
                **author,
                "thread_ts": f"{1_600_000_000 + self._chance.randrange(2_000)}.000100",
            }
        if kind < 0.9:
            return {**said, **author}
        if kind < 0.94:
            edited = {**author, "ts": ts, "edited": {"user": author["user"], "ts": ts}}
            return {
                **said,
                "subtype": "message_changed",
                "hidden": True,
                "message": edited,
                "previous_message": author,
            }
        if kind < 0.97:
            return {**said, "subtype": "bot_message", "bot_id": "B0WEATHER", "text": SAID}
        return {
            **said,
            "subtype": "channel_join",
            "user": author["user"],
            "text": "has joined the channel",
        }


async def measure(deployment: Deployment, rate: float, seconds: float) -> Outcome:
    total = int(rate * seconds)
    requests = total // QUESTION_EVERY
    async with open_environment(
        requests, min(20, requests), script(ANSWER_WORDS, ANSWER_RATE), deployment
    ) as environment:
        chatter = Chatter(environment, [thread.channel for thread in environment.threads])
        events, cpu = _noted(environment), environment.bot.cpu()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(total):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            if number % QUESTION_EVERY == 0 and number // QUESTION_EVERY < requests:
                thread = environment.threads[number // QUESTION_EVERY]
                await environment.slack.conversations.say(
                    ASKER, thread.channel, thread.question, thread.root
                )
            else:
                event = chatter.next()
                environment.slack.subscriptions.deliver(event, "message.channels")
        spent = (environment.bot.cpu() - cpu) / (loop.time() - began)
        whole = await _answered(environment)
        return Outcome(sorted(map(_wait, events)), sum(map(_late, events)), whole, requests, spent)


def _noted(environment: Environment) -> list[Delivery]:
    """The events from now on, as they come, because the journal itself forgets old ones."""
    events: list[Delivery] = []
    known: set[int] = {delivery.id for delivery in environment.slack.journal.deliveries}

    def note(changed: object) -> None:
        if (
            isinstance(changed, Delivery)
            and changed.kind == "events_api"
            and changed.id not in known
        ):
            known.add(changed.id)
            events.append(changed)

    environment.slack.journal.listeners.append(note)
    return events


def _wait(event: Delivery) -> float:
    return event.acked_at - event.created if event.acked_at is not None else float("inf")


def _late(event: Delivery) -> bool:
    return event.acked_at is None or len(event.attempts) > 1


async def _answered(environment: Environment) -> int:
    """How many questions have a complete answer, once nothing more is to come."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while (
        whole := sum(_is_whole(environment, number) for number in range(len(environment.threads)))
    ) < len(environment.threads):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.5)
    return whole


def _is_whole(environment: Environment, number: int) -> bool:
    thread = environment.threads[number]
    last = environment.slack.workspace.thread(thread.channel, thread.root)[-1]
    words = "".join(
        piece for piece in script(ANSWER_WORDS, ANSWER_RATE).pieces if isinstance(piece, str)
    )
    return last.user == environment.slack.bot_user.id and not last.streaming and words in last.text


WAYS: dict[str, Callable[[str, str], Deployment]] = {
    "socket-sqlite": lambda _pg, _redis: Deployment(limits=Limits(burst=0.2)),
    "http-sqlite": lambda _pg, _redis: Deployment(http=True, limits=Limits(burst=0.2)),
    "socket-postgresql": lambda pg, redis: Deployment(pg, redis, limits=Limits(burst=0.2)),
    "http-postgresql": lambda pg, redis: Deployment(pg, redis, http=True, limits=Limits(burst=0.2)),
}


async def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--only", nargs="*", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    met = True
    print(
        f"{options.rate:.0f} events a second for {options.seconds:.0f} s; seconds to the acknowledgement"
    )
    print(f"{'':18} {'p50':>7} {'p99':>7} {'most':>7} {'late':>5} {'whole':>7} {'CPU':>5}")
    with ExitStack() as stack:
        server, redis = services.postgresql(), redis_service.redis_server()
        stack.callback(server.close)
        stack.callback(redis.close)
        for name in options.only:
            database = services.new_database(server.url)
            outcome = await measure(
                WAYS[name](database.url, redis.url), options.rate, options.seconds
            )
            database.close()
            met &= (
                outcome.at(0.99) <= ACKNOWLEDGED_WITHIN
                and not outcome.late
                and outcome.whole == outcome.asked
            )
            print(
                f"{name:18} {outcome.at(0.5):7.3f} {outcome.at(0.99):7.3f} {outcome.waits[-1]:7.3f} {outcome.late:5d} "
                f"{outcome.whole:>3}/{outcome.asked:<3} {outcome.cpu:5.2f}",
                flush=True,
            )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

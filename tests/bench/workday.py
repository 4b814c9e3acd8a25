"""People who use Bobbin through a working day: they start chats, go on in them, and write while an answer runs."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cache

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript, words
from bot.sandbox.models.server import AnswerFunction, ModelRequest
from bot.sandbox.state.records import Message
from bot.sandbox.state.workspace import Change
from tests.bench.environment import SENTENCE, Environment, StormThread, question_of
from tests.bench.measure import Seen, compare, whole_text
from tests.cluster.processes import until_acknowledged
from tests.handlers.world import elements

PEOPLE = tuple(f"person{number}" for number in range(20))
COLLEAGUES = tuple(f"colleague{number}" for number in range(40))
"""Never write; questions name them, so that their names have to be looked up."""
CHANNELS, CHATS = 10, 100
WHILE_RUNNING = 1 / 3
"""Share of the questions that are written while an answer of the thread runs."""
NEW_CHATS = 1 / 6
"""Share of the questions that start a chat."""
BY_OTHERS = 1 / 5
"""Share of the questions in a chat that somebody else than its owner asks."""
NAMING = 1 / 5
"""Share of the questions that name a colleague."""
SPEEDS, THINKING = (20.0, 40.0), 0.5
"""Words a second, and seconds before the first one."""
PATIENCE = 120.0
"""Seconds that the answers may take after the last question."""

_QUESTION = re.compile(r"Question number (\d+), please")
_ANSWER = re.compile(r"Answer (\d+)\.")


@dataclass(frozen=True)
class Lengths:
    """How many seconds the answers take: evenly between these two."""

    least: float = 3.0
    most: float = 7.0

    @property
    def mean(self) -> float:
        return (self.least + self.most) / 2


@cache
def script_of(number: int, lengths: Lengths) -> ModelScript:
    """The answer to the question of this number: about as fast as today's models."""
    chance = random.Random(number)
    rate = chance.uniform(*SPEEDS)
    count = int(rate * chance.uniform(lengths.least, lengths.most))
    said = SENTENCE.split() * (count // len(SENTENCE.split()) + 1)
    text = " ".join([f"Answer {number}.", *said[:count]])
    return ModelScript(words(text), rate=rate, first_after=THINKING)


def answering(lengths: Lengths) -> AnswerFunction:
    """Answers the questions of the day; titles are left to the model."""

    def answer(asked: ModelRequest) -> ModelScript | None:
        number = None if asks_for_title(asked.messages) else number_of(asked)
        return None if number is None else script_of(number, lengths)

    return answer


def number_of(asked: ModelRequest) -> int | None:
    found = _QUESTION.search(question_of(asked))
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Question:
    """One question; times are those of the sandbox's clock."""

    number: int
    who: str
    thread: StormThread
    said_at: float
    """When it was written; of one that started a chat, when its model was chosen."""
    starts_chat: bool = False


@dataclass
class Workday:
    """A day's load on one environment. `asked` are its questions in the order of their numbers."""

    environment: Environment
    chance: random.Random
    lengths: Lengths = Lengths()
    asked: list[Question] = field(default_factory=list)
    menu_waits: list[float] = field(default_factory=list)
    """Seconds from a mention to the menu in its thread."""
    mentions: dict[str, Question] = field(default_factory=dict)
    """Those whose menu is still to come, by ts."""
    last: dict[str, int] = field(default_factory=dict)
    """The number of the newest question of each thread, by ts of the thread."""
    _number: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, per_minute: float, seconds: float) -> None:
        """Asks this many questions a minute, at random moments, and waits until all are answered."""
        workspace = self.environment.slack.workspace
        for name in COLLEAGUES:
            workspace.add_user(name)
        unsubscribe = workspace.subscribe(self._on_change)
        loop = asyncio.get_running_loop()
        moments = sorted(
            self.chance.uniform(0, seconds) for _ in range(int(per_minute * seconds / 60))
        )
        began = loop.time()
        for moment in moments:
            await asyncio.sleep(max(0.0, began + moment - loop.time()))
            await self._ask()
        await self._until_answered()
        unsubscribe()

    async def _ask(self) -> None:
        self._number += 1
        kind = self.chance.random()
        if kind < NEW_CHATS:
            await self._start_chat()
            return
        wanted = kind < NEW_CHATS + WHILE_RUNNING
        await self._go_on(self._thread(running=wanted) or self._thread(running=not wanted))

    def _thread(self, *, running: bool) -> StormThread | None:
        """A thread in which the model is answering, or in which nothing is open."""
        models = self.environment.models.requests()
        open_numbers = {number_of(each) for each in models if each.ended_at is None}
        answered = {number_of(each) for each in models if each.ended_at is not None}
        if running:
            found = [t for t in self._threads() if self.last.get(t.root) in open_numbers]
        else:
            found = [t for t in self._threads() if self.last.get(t.root) in {None, *answered}]
        return self.chance.choice(found) if found else None

    def _threads(self) -> list[StormThread]:
        return self.environment.threads

    def _text(self) -> str:
        text = f"Question number {self._number}, please"
        if self.chance.random() < NAMING:
            return f"{text}, as for @{self.chance.choice(COLLEAGUES)}."
        return f"{text}."

    async def _go_on(self, thread: StormThread | None) -> None:
        if thread is None:
            return
        others = self.chance.random() < BY_OTHERS
        who = self.chance.choice(PEOPLE) if others else thread.owner
        slack = self.environment.slack
        self.last[thread.root] = self._number
        ts = await slack.conversations.say(who, thread.channel, self._text(), thread.root)
        self.asked.append(Question(self._number, who, thread, float(ts)))

    async def _start_chat(self) -> None:
        slack, who = self.environment.slack, self.chance.choice(PEOPLE)
        channel = self.chance.choice(self._threads()[:CHANNELS]).channel
        text = f"<@{slack.bot_user.id}> {self._text()}"
        number = self._number
        ts = await slack.conversations.say(who, channel, text)
        thread = StormThread(channel, ts, text, who)
        self.mentions[ts] = Question(number, who, thread, float(ts), starts_chat=True)
        self.last[ts] = number

    def _on_change(self, change: Change) -> None:
        """Presses the button of a menu as soon as it stands."""
        message = change.message
        if change.kind != "posted" or message is None or not elements(message, "start_chat"):
            return
        if (question := self.mentions.pop(message.root, None)) is None:
            return
        self.menu_waits.append(float(message.ts) - question.said_at)
        task = asyncio.create_task(self._press(message, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _press(self, menu: Message, question: Question) -> None:
        slack = self.environment.slack
        self.asked.append(replace(question, said_at=slack.workspace.clock()))
        with contextlib.suppress(LookupError):  # the first press was late, but it has worked
            await until_acknowledged(
                lambda: slack.interactions.press(question.who, menu, "start_chat")
            )
        self.environment.threads.append(question.thread)

    # -- what came of it

    async def _until_answered(self) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.5)
            if not self.mentions and self._all_shown():
                return

    def _all_shown(self) -> bool:
        messages = _answer_messages(self.environment)
        return all(
            any(self._is_whole(message, each.number) for message in messages.get(each.number, ()))
            for each in self.asked
        )

    def _is_whole(self, message: Message, number: int) -> bool:
        return not message.streaming and self._text_of(number) in message.text

    def _text_of(self, number: int) -> str:
        return whole_text(script_of(number, self.lengths))

    def answers(self) -> list[Answered]:
        """Every question with its result."""
        requests = _by_question(self.environment.models.requests())
        messages = _answer_messages(self.environment)
        return [
            self._answered(each, requests.get(each.number, []), messages.get(each.number, []))
            for each in sorted(self.asked, key=lambda each: each.number)
        ]

    def _answered(
        self, question: Question, requests: list[ModelRequest], shown: list[Message]
    ) -> Answered:
        viewer = self.environment.slack.workspace.user(question.who).id
        last = requests[-1] if requests else None
        seen = compare(shown, last, self._text_of(question.number), viewer)
        asked_at = requests[0].at if requests else None
        return Answered(question, asked_at, _ended_at(shown, seen), seen)


@dataclass(frozen=True)
class Answered:
    """A question and its answer; times are those of the sandbox's clock, None for what has not happened."""

    question: Question
    asked_at: float | None
    """When the model was asked first."""
    ended_at: float | None
    """When the whole text and its footer stood in the thread."""
    seen: Seen


@dataclass(frozen=True)
class Wait:
    """Seconds from the moment when the model could have been asked until it was asked."""

    since: float
    seconds: float
    queued: bool
    """The question had to wait for its turn: `since` is when the answer before it stood in the thread."""


def waits(answers: list[Answered]) -> list[Wait]:
    """What was never asked, or what it waited for never stood, counts as if it had happened at the end."""
    found: list[Wait] = []
    before: dict[str, Answered] = {}
    end = max((each.ended_at or 0.0 for each in answers), default=0.0)
    for each in answers:
        thread, said_at = each.question.thread.root, each.question.said_at
        free_at = (before[thread].ended_at or end) if thread in before else 0.0
        since = max(said_at, free_at)
        seconds = max(0.0, (each.asked_at or end) - since)
        found.append(Wait(since, seconds, queued=free_at > said_at))
        before[thread] = each
    return found


def _by_question(requests: list[ModelRequest]) -> dict[int, list[ModelRequest]]:
    found: defaultdict[int, list[ModelRequest]] = defaultdict(list)
    for request in requests:
        if (number := number_of(request)) is not None:
            found[number].append(request)
    return found


def _answer_messages(environment: Environment) -> dict[int, list[Message]]:
    """The messages of each answer, by the number of its question."""
    found: defaultdict[int, list[Message]] = defaultdict(list)
    for thread in environment.threads:
        for message in environment.slack.workspace.thread(thread.channel, thread.root):
            number = _ANSWER.match(message.text)
            if number and message.user == environment.slack.bot_user.id:
                found[int(number[1])].append(message)
    return found


def _ended_at(messages: list[Message], seen: Seen) -> float | None:
    """The footer comes with the end of the text, or with a last edit."""
    return messages[-1].states[-1].at if seen.complete else None

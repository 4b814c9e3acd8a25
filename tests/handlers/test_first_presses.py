"""Each element works from the moment it appears, even before the bot knows that Slack shows it.

The call that shows an element takes effect, but its response is held back until the press is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bot import strings
from bot.sandbox.faults import Fault
from bot.sandbox.models.scripts import ModelScript
from bot.sandbox.state.workspace import Change
from bot.sandbox.user_actions import find_elements
from handlers.rate_limits.slack_rates import RATES
from tests.handlers import bulk_chats
from tests.handlers.test_dialogs import field_values
from tests.handlers.test_home import STORY
from tests.handlers.world import MODEL, World, elements, shown
from tests.slow import slow_after

ENDLESS = 3_600.0
TEXT = " ".join(f"word{n}" for n in range(400))

Shown = Any
"""The message, ephemeral or view that holds the element."""
Act = Callable[[World], Awaitable[object]]
Press = Callable[[World, Shown], Awaitable[object]]


class FirstPress:
    """Presses once, as soon as something with this element appears, while its call's response is held back."""

    def __init__(self, world: World, action_id: str, press: Press) -> None:
        self._world = world
        self._action_id = action_id
        self._press = press
        self._held = [self._hold(method) for method in RATES]
        self.task: asyncio.Task[None] | None = None
        world.slack.workspace.subscribe(self._look)

    def _hold(self, method: str) -> Fault:
        """No time yet: until the element appears, all calls end as usual."""
        return self._world.slack.faults.add(
            method, "slow", times=-1, seconds=0.0, after_effect=True
        )

    def _look(self, change: Change) -> None:
        if self.task is not None:
            return
        for each in self._candidates(change):
            if any(
                e["action_id"] == self._action_id for _, e in find_elements.elements(each.blocks)
            ):
                for fault in self._held:
                    fault.seconds = ENDLESS
                self.task = asyncio.ensure_future(self._press_and_release(each))
                return

    def _candidates(self, change: Change) -> list[Shown]:
        views = self._world.slack.workspace.open_modals(change.user) if change.user else []
        found = (change.message, change.data.get("view"), change.data.get("ephemeral"), *views)
        return [each for each in found if each is not None]

    async def _press_and_release(self, each: Shown) -> None:
        try:
            await self._press(self._world, each)
        finally:
            self._world.slack.faults.clear()


def pressing(action_id: str, value: str | None = None) -> Press:
    return lambda world, what: world.slack.interactions.press("alice", what, action_id, value)


def choosing(action_id: str, model: str = MODEL) -> Press:
    return lambda world, what: world.slack.interactions.choose(
        "alice", what, action_id, f"openai:{model}"
    )


def acting(**action: Any) -> Press:
    return lambda world, what: world.slack.interactions.act("alice", what, action)


def choosing_for_chat(what: str) -> Press:
    """In the `…` menu of the only chat's header."""

    async def choose(world: World, header: Shown) -> None:
        (chat,) = world.chats()
        await world.slack.interactions.choose("alice", header, "chat_menu", f"{what}:{chat['id']}")

    return choose


# -- what makes the element appear -------------------------------------------------------------------------------------


async def mention(world: World) -> None:
    world.say(TEXT, rate=200.0)
    bot = world.slack.bot_user.id
    await world.slack.conversations.say("alice", "general", f"<@{bot}> A question.")


async def answer(world: World) -> None:
    await world.start("A question.")


async def failed_answer(world: World) -> None:
    world.fail("http", status=401)
    world.say("It works.")
    await world.start("A question.")


async def broken_answer(world: World) -> None:
    world.fail("break", "Half of it")
    world.say("It works.")
    await world.start("A question.")


async def answer_of_a_model_that_is_gone(world: World) -> None:
    world.fail("http", status=404)
    world.say("It works.", model="demo/storyteller")
    await world.start("A question.")


async def slow_answer(world: World) -> None:
    world.models.queue(MODEL, ModelScript(["Never", " said."], first_after=ENDLESS))
    world.leave_unfinished()
    await world.start("A question.")


async def message_for_a_full_chat(world: World) -> None:
    thread = await world.start("A question.")
    await world.answered(thread)
    await world.idle()
    await world.execute("UPDATE chats SET message_count = 100")
    await world.slack.conversations.say("alice", "general", "One too many.", thread)


async def list_of_chats(world: World) -> None:
    await bulk_chats.insert_chats(world, 25)
    await world.slack.interactions.command("alice", "general", "/chats")


async def home_tab(world: World) -> None:
    await bulk_chats.insert_chats(world, 25)
    await world.slack.views.open_home("alice")


async def dialog(world: World) -> None:
    await world.slack.interactions.command("alice", "general", "/chats", "new")


# -- what must come of the press ---------------------------------------------------------------------------------------


def text_stands(text: str) -> Callable[[World], bool]:
    """The only answer shows this, and a vote on it is possible: it has ended well."""

    def stands(world: World) -> bool:
        found = [each for chat in world.chats() for each in world.answers(chat["thread"])]
        return [shown(each) for each in found] == [text] and bool(elements(found[0], "feedback"))

    return stands


def is_stopped(world: World) -> bool:
    ended = [each for chat in world.chats() for each in world.ended(chat["thread"])]
    return [each["status"] for each in ended] == ["stopped"]


def is_voted(world: World) -> bool:
    voted = [row["value"] for row in world.rows("SELECT value FROM feedback")]
    return voted == [1] and world.whispers("alice") == [strings.FEEDBACK_THANKS]


def another_chat_is_answered(world: World) -> bool:
    chats = world.chats()
    return len(chats) == 2 and bool(world.ended(chats[1]["thread"]))


def another_chat_began(world: World) -> bool:
    return [bool(chat["thread"]) for chat in world.chats()] == [True, True]


def is_told(text: str) -> Callable[[World], bool]:
    return lambda world: text in world.whispers("alice")


def list_shows(note: str) -> Callable[[World], bool]:
    return lambda world: any(note in str(each.blocks) for each in _ephemerals(world))


def _ephemerals(world: World) -> list[Any]:
    return world.slack.workspace.ephemerals("alice", "general")


def home_shows(text: str) -> Callable[[World], bool]:
    def shows(world: World) -> bool:
        view = world.slack.views.home("alice")
        return view is not None and text in str(view.blocks)

    return shows


def dialog_is_open(world: World) -> bool:
    return world.slack.views.modal("alice") is not None


def prefers_another_model(world: World) -> bool:
    rows = world.rows("SELECT default_model FROM people WHERE user = 'U0ALICE'")
    return [row["default_model"] for row in rows] == [STORY["value"]]


def skips_the_menu(world: World) -> bool:
    return bool(world.rows("SELECT 1 FROM people WHERE always"))


@dataclass(frozen=True)
class Case:
    name: str
    appears: Act
    action_id: str
    press: Press
    works: Callable[[World], bool]


BOX = {
    "text": {"type": "plain_text", "text": strings.HOME_ALWAYS},
    "value": "always",
}
CASES = [
    # One element of each kind, which `make test` tries: in the menu, the header and below an answer.
    Case("start button", mention, "start_chat", pressing("start_chat"), text_stands(TEXT)),
    Case("menu", mention, "model_menu", choosing("model_menu"), text_stands(TEXT)),
    Case("stop", slow_answer, "stop_answer", pressing("stop_answer"), is_stopped),
    Case(
        "another model below an answer",
        answer,
        "ask_another",
        choosing("ask_another", "demo/storyteller"),
        another_chat_is_answered,
    ),
    Case(
        "export in the header",
        answer,
        "chat_menu",
        choosing_for_chat("export"),
        is_told(strings.EXPORT_SENT),
    ),
    # The others:
    Case(
        "retry", failed_answer, "retry_answer", pressing("retry_answer"), text_stands("It works.")
    ),
    Case(
        "retry of a broken answer",
        broken_answer,
        "retry_answer",
        pressing("retry_answer"),
        text_stands("It works."),
    ),
    Case(
        "retry with another model",
        answer_of_a_model_that_is_gone,
        "retry_with_model",
        choosing("retry_with_model", "demo/storyteller"),
        text_stands("It works."),
    ),
    Case(
        "another model beside a failure",
        failed_answer,
        "ask_another",
        choosing("ask_another", "demo/storyteller"),
        another_chat_is_answered,
    ),
    Case(
        "continue in the header",
        answer,
        "chat_menu",
        choosing_for_chat("continue"),
        another_chat_began,
    ),
    Case("rename in the header", answer, "chat_menu", choosing_for_chat("rename"), dialog_is_open),
    Case(
        "continue after the last message",
        message_for_a_full_chat,
        "continue_chat",
        pressing("continue_chat"),
        another_chat_began,
    ),
    Case("thumb", answer, "feedback", pressing("feedback"), is_voted),
    Case(
        "new chat after the last message",
        message_for_a_full_chat,
        "new_chat",
        pressing("new_chat"),
        dialog_is_open,
    ),
    Case(
        "refresh",
        list_of_chats,
        "chats_page.again",
        pressing("chats_page.again"),
        list_shows("1–10 of 25"),
    ),
    Case(
        "another page",
        list_of_chats,
        "chats_page.0",
        pressing("chats_page.0"),
        list_shows("11–20 of 25"),
    ),
    Case("new chat on Home", home_tab, "new_chat", pressing("new_chat"), dialog_is_open),
    Case(
        "a page of Home",
        home_tab,
        "home_page.0",
        pressing("home_page.0"),
        home_shows("11–20 of 25"),
    ),
    Case(
        "search on Home",
        home_tab,
        "home_search",
        acting(action_id="home_search", value="Chat 7"),
        home_shows("Show all"),
    ),
    Case(
        "model on Home",
        home_tab,
        "home_model",
        acting(action_id="home_model", selected_option=STORY),
        prefers_another_model,
    ),
    Case(
        "always on Home",
        home_tab,
        "home_always",
        acting(action_id="home_always", selected_options=[BOX]),
        skips_the_menu,
    ),
    Case(
        "dialog",
        dialog,
        "dialog_text",
        lambda world, what: world.slack.views.submit("alice", field_values("A question."), what),
        lambda world: len(world.chats()) == 1,
    ),
]


@pytest.mark.parametrize("case", slow_after(5, CASES), ids=lambda case: case.name)
async def test_a_press_in_the_first_moment_works(world: World, case: Case) -> None:
    first = FirstPress(world, case.action_id, case.press)
    await case.appears(world)
    await world.until(lambda: first.task is not None and first.task.done(), "the press")
    assert first.task is not None
    first.task.result()
    await world.until(lambda: case.works(world), f"what {case.name} is for")

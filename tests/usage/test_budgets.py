"""People who have used up a budget or rate: every entry point refuses privately, and nothing is stored or asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bot.sandbox.state.records import Message, View
from bot.usage.limits import Budget, MessageRate, Period, Scope, Unit
from tests.access.scene import PLACE, WHO, chat_and_menu, id_of
from tests.api.conftest import client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, elements

USED_UP: dict[str, tuple[dict[str, Any], str]] = {
    "a person's tokens": (
        {"bobbin_budget_user": Budget(Scope.USER, 1, Unit.TOKENS, Period.MONTH)},
        "Your budget of 1 tokens/month is used up. It begins anew on 1 ",
    ),
    "a workspace's tokens": (
        {"bobbin_budget_workspace": Budget(Scope.WORKSPACE, 1, Unit.TOKENS, Period.MONTH)},
        "This workspace's budget of 1 tokens/month is used up.",
    ),
}
OTHER = "demo/storyteller"
TABLES = ("chats", "messages", "answers", "questions", "ledger")


@dataclass
class Scene:
    """What existed before: a chat with a good and a failed answer, an open menu, a dialog, a conversation."""

    world: World
    chat: str
    question: str
    token: str
    dialog: View
    conversation: str

    @classmethod
    async def prepare(cls, world: World) -> Scene:
        chat, question = await chat_and_menu(world, status=400)
        token = await token_for(world, WHO)
        await world.slack.interactions.command(WHO, PLACE, "/chats", "new")
        dialog = await world.until(lambda: world.slack.views.modal(WHO), "the dialog")
        assert dialog is not None
        async with client(world, token) as http:
            made = await http.post("/chat/conversations", json={})
        await world.idle()
        conversation = str(made.json()["conversation"]["id"])
        return cls(world, chat, question, token, dialog, conversation)

    def failed(self) -> Message:
        return next(m for m in self.world.answers(self.chat) if elements(m, "retry_answer"))

    def chat_id(self) -> str:
        return id_of(self.world, self.chat)

    def failed_id(self) -> str:
        return str(self.world.ended(self.chat)[1]["message_id"])


async def mention(scene: Scene) -> None:
    bot = scene.world.slack.bot_user.id
    await scene.world.slack.conversations.say(WHO, PLACE, f"<@{bot}> Once more?")


async def reply(scene: Scene) -> None:
    await scene.world.slack.conversations.say(WHO, PLACE, "Third question.", scene.chat)


async def direct(scene: Scene) -> None:
    place = scene.world.slack.workspace.dm(WHO)
    await scene.world.slack.conversations.say(WHO, place, "Just between us?")


async def choose(scene: Scene) -> None:
    await scene.world.choose(scene.question, WHO)


async def start_button(scene: Scene) -> None:
    menu = scene.world.menus(scene.question)[-1]
    await scene.world.slack.interactions.press(WHO, menu, "start_chat")


async def retry(scene: Scene) -> None:
    await scene.world.slack.interactions.press(WHO, scene.failed(), "retry_answer")


DOORS: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "a mention": mention,
    "a reply": reply,
    "a direct message": direct,
    "a choice": choose,
    "the button beside the menu": start_button,
    "Retry": retry,
}


def stored(world: World) -> dict[str, list[Any]]:
    return {table: world.rows(f"SELECT * FROM {table}") for table in TABLES}


def refusals(world: World, rule: str) -> int:
    """How often the person was told, privately."""
    places = (PLACE, world.slack.workspace.dm(WHO))
    told = [text for place in places for text in world.whispers(WHO, place)]
    return sum(text.startswith(USED_UP[rule][1]) for text in told)


async def used_up(world: World, rule: str) -> Scene:
    scene = await Scene.prepare(world)
    await world.restart(**USED_UP[rule][0])
    await world.idle()
    world.models.journal.clear()
    return scene


@pytest.mark.parametrize("rule", USED_UP)
async def test_no_entry_point_in_slack_accepts_a_message(worlds: WorldFactory, rule: str) -> None:
    async with worlds() as world:
        scene = await used_up(world, rule)
        before = stored(world)
        for name, attempt in DOORS.items():
            heard = refusals(world, rule)
            await attempt(scene)
            await world.until(lambda: refusals(world, rule) > heard, name)  # noqa: B023
            await world.idle()
            assert refusals(world, rule) == heard + 1, name
            assert stored(world) == before, name
        assert list(world.models.journal) == []


async def test_the_dialog_says_so(worlds: WorldFactory) -> None:
    async with worlds() as world:
        scene = await used_up(world, "a person's tokens")
        before = stored(world)
        values = {"bobbin.text": {"dialog_text": "From the dialog?"}}
        errors = await world.slack.views.submit(WHO, values, scene.dialog)
        assert errors["bobbin.text"].startswith(USED_UP["a person's tokens"][1])
        assert stored(world) == before


def api_entry_points(scene: Scene) -> dict[str, tuple[str, dict[str, Any]]]:
    said, chat = scene.conversation, scene.chat_id()
    return {
        "a message": (f"/chat/conversations/{said}/messages", {"content": "Hello?"}),
        "v1": ("/api/v1/chat", {"conversation_id": said, "message": "Hello?"}),
        "a new chat": ("/new-chat", {"initial_message": "Hello?"}),
        "a chat's message": ("/chat-message", {"chat": said, "message": "Hello?"}),
        "retry": (f"/chat/conversations/{chat}/messages/{scene.failed_id()}/retry", {}),
        "continue": ("/chat/conversations", {"continues": chat}),
        "branch": ("/chat/conversations", {"from": scene.failed_id(), "model": OTHER}),
    }


@pytest.mark.parametrize("rule", USED_UP)
async def test_the_api_answers_429(worlds: WorldFactory, rule: str) -> None:
    async with worlds() as world:
        scene = await used_up(world, rule)
        before = stored(world)
        async with client(world, scene.token) as http:
            for name, (path, body) in api_entry_points(scene).items():
                response = await http.post(path, json=body)
                said = response.json()
                assert response.status_code == 429, (name, said)
                assert said.pop("message").startswith(USED_UP[rule][1]), name
                assert said == {
                    "success": False,
                    "error": "Budget reached",
                    "budgetReached": True,
                    "rateLimitReached": False,
                }, name
                assert 1 <= int(response.headers["Retry-After"]) <= 31 * 86_400, name
        assert stored(world) == before
        assert list(world.models.journal) == []


async def test_a_rate_allows_that_many_messages(worlds: WorldFactory) -> None:
    async with worlds(bobbin_rate_user=MessageRate(2, Period.MONTH)) as world:
        thread = await world.start("One?")
        await world.answered(thread)
        await world.slack.conversations.say(WHO, PLACE, "Two?", thread)
        await world.answered(thread, 2)
        await world.slack.conversations.say(WHO, PLACE, "Three?", thread)
        await world.until(lambda: world.whispers(WHO), "the refusal")
        assert world.whispers(WHO)[-1].startswith("You may have 2 messages answered per month")
        assert len(world.messages(thread)) == 4


async def test_a_footer_says_once_that_a_budget_is_nearly_used_up(worlds: WorldFactory) -> None:
    world_budget = Budget(Scope.USER, 10_000, Unit.TOKENS, Period.MONTH)
    async with worlds(bobbin_budget_user=world_budget) as world:
        thread = await world.start("One?")
        await world.answered(thread)
        await world.idle()
        await world.execute("UPDATE spending SET tokens = 8500")
        for count, text in enumerate(("Two?", "Three?"), 2):
            await world.slack.conversations.say(WHO, PLACE, text, thread)
            await world.answered(thread, count)
            await world.idle()
        near = "80 % of your budget of 10k tokens/month is used"
        shown = [near in str(message.blocks) for message in world.answers(thread)]
        assert shown == [False, True, False]


async def test_usage_is_shown_to_people_and_programs(worlds: WorldFactory) -> None:
    async with worlds() as world:
        thread = await world.start("One?")
        await world.answered(thread)
        await world.idle()
        (said,) = await world.slack.interactions.command(WHO, PLACE, "/chats", "usage")
        assert "*Today* 1 answer · " in said.text
        assert "• openai:demo/quick: 1 answer · " in said.text
        async with client(world, await token_for(world)) as http:
            report = (await http.get("/usage", params={"by": "model"})).json()
            (group,) = report["usage"]
            assert (group["group"], group["answers"]) == ("openai:demo/quick", 1)
            assert group["promptTokens"] > 0
            wrong = await http.get("/usage", params={"since": "yesterday"})
            assert wrong.status_code == 422
        async with client(world, await token_for(world, "bob")) as http:
            assert (await http.get("/usage")).json()["usage"] == []


async def test_admins_see_everybodys_usage(worlds: WorldFactory) -> None:
    async with worlds(bobbin_admins=("U0ALICE",)) as world:
        thread = await world.start("One?", "bob")
        await world.answered(thread)
        await world.idle()
        bob = world.slack.workspace.user("bob").id
        (said,) = await world.slack.interactions.command(WHO, PLACE, "/chats", "usage")
        assert f"• <@{bob}>: 1 answer · " in said.text
        async with client(world, await token_for(world)) as http:
            (group,) = (await http.get("/usage", params={"by": "user"})).json()["usage"]
            assert group["group"] == bob
        (own,) = await world.slack.interactions.command("carol", PLACE, "/chats", "usage")
        assert bob not in own.text

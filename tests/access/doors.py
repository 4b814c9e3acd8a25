"""Every door of the product as an action of one person, and what has to stand before it can be tried."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from bot.sandbox.state.records import Message, View
from tests.api.conftest import client, token_for
from tests.handlers.world import World, elements

WHO = "alice"
PLACE = "general"
OTHER = "openai:demo/storyteller"


@dataclass
class Scene:
    """What was there before the rule: a chat with a good and a failed answer, an open menu, a dialog, a token."""

    world: World
    chat: str
    """The thread of a chat."""
    question: str
    """The thread of an unanswered menu."""
    token: str
    dialog: View
    home: View
    conversation: str = ""
    """An API client's conversation."""
    failed_id: str = ""

    @classmethod
    async def prepare(cls, world: World) -> Scene:
        chat = await world.start("First question.", WHO)
        await world.answered(chat)
        world.fail("http", status=400)
        await world.slack.conversations.say(WHO, PLACE, "Second question.", chat)
        await world.answered(chat, 2)
        question = await world.ask("Which model?", WHO)
        token = await token_for(world, WHO)
        await world.slack.interactions.command(WHO, PLACE, "/chats", "new")
        dialog = await world.until(lambda: world.slack.views.modal(WHO), "the dialog")
        assert dialog is not None
        await world.slack.views.open_home(WHO)
        home = await world.until(lambda: world.slack.views.home(WHO), "the Home tab")
        assert home is not None
        scene = cls(world, chat, question, token, dialog, home)
        async with client(world, token) as http:
            made = await http.post("/chat/conversations", json={})
            scene.conversation = made.json()["conversation"]["id"]
        scene.failed_id = world.ended(chat)[1]["message_id"]
        await world.idle()
        return scene

    def good(self) -> Message:
        return self.world.answers(self.chat)[0]

    def failed(self) -> Message:
        return self.world.answers(self.chat)[1]

    def menu(self) -> Message:
        return self.world.menus(self.question)[-1]

    def chat_id(self) -> str:
        return next(str(row["id"]) for row in self.world.chats() if row["thread"] == self.chat)


Try = Callable[[Scene], Awaitable[Any]]


async def mention(scene: Scene) -> None:
    bot = scene.world.slack.bot_user.id
    await scene.world.slack.conversations.say(WHO, PLACE, f"<@{bot}> Once more?")


async def mention_with_file(scene: Scene) -> None:
    bot = scene.world.slack.bot_user.id
    from bot.sandbox.user_actions.conversations import Upload

    await scene.world.slack.conversations.say(
        WHO, PLACE, f"<@{bot}> And this?", files=[Upload("a.txt", b"Some text.")]
    )


async def reply(scene: Scene) -> None:
    await scene.world.slack.conversations.say(WHO, PLACE, "Third question.", scene.chat)


async def stop_word(scene: Scene) -> None:
    await scene.world.slack.conversations.say(WHO, PLACE, "stop", scene.chat)


async def edit(scene: Scene) -> None:
    people, bot = scene.world.slack.conversations, scene.world.slack.bot_user.id
    ts = await people.say(WHO, PLACE, "Not to you yet.")
    await people.edit(WHO, PLACE, ts, f"<@{bot}> But now.")


async def direct_message(scene: Scene) -> None:
    place = scene.world.slack.workspace.dm(WHO)
    await scene.world.slack.conversations.say(WHO, place, "Just between us?")


def command(text: str) -> Try:
    async def attempt(scene: Scene) -> None:
        await scene.world.slack.interactions.command(WHO, PLACE, "/chats", text)

    return attempt


async def pick(scene: Scene, target: Message | View, action_id: str) -> None:
    """Choose from a menu that was opened before the rule."""
    option = {"text": {"type": "plain_text", "text": "Storyteller"}, "value": OTHER}
    action = {"action_id": action_id, "selected_option": option}
    await scene.world.slack.interactions.act(WHO, target, action)


async def choose(scene: Scene) -> None:
    await pick(scene, scene.menu(), "model_menu")


async def start_button(scene: Scene) -> None:
    await scene.world.slack.interactions.press(WHO, scene.menu(), "start_chat")


async def menu_options(scene: Scene) -> None:
    shown = await scene.world.slack.interactions.menu(WHO, scene.menu(), "model_menu")
    assert not shown.get("option_groups")
    assert not shown.get("options")


async def retry(scene: Scene) -> None:
    await scene.world.slack.interactions.press(WHO, scene.failed(), "retry_answer")


async def thumbs(scene: Scene) -> None:
    await scene.world.slack.interactions.press(WHO, scene.good(), "feedback")


async def home(scene: Scene) -> None:
    await scene.world.slack.views.open_home(WHO)


async def home_default(scene: Scene) -> None:
    await pick(scene, scene.home, "home_model")


async def home_new_chat(scene: Scene) -> None:
    await scene.world.slack.interactions.press(WHO, scene.home, "new_chat")


async def submit(scene: Scene) -> None:
    values = {"bobbin.text": {"dialog_text": "From the dialog?"}}
    errors = await scene.world.slack.views.submit(WHO, values, scene.dialog)
    assert list(errors) == ["bobbin.text"]


async def global_shortcut(scene: Scene) -> None:
    await scene.world.slack.interactions.shortcut(WHO, "new_chat")


async def message_shortcut(scene: Scene) -> None:
    message = scene.world.slack.workspace.channel(PLACE).messages[scene.chat]
    await scene.world.slack.interactions.shortcut(WHO, "ask_bobbin", message)


async def pane_title(scene: Scene) -> None:
    slack = scene.world.slack
    slack.subscriptions.send_session_title_changed(
        slack.workspace.user(WHO).id, slack.workspace.channel(PLACE).id, scene.chat, "Mine now"
    )


async def pane_stop(scene: Scene) -> None:
    slack = scene.world.slack
    slack.subscriptions.send_session_stopped(
        slack.workspace.user(WHO).id, slack.workspace.channel(PLACE).id, scene.chat, []
    )


SLACK_DOORS: dict[str, Try] = {
    "a mention": mention,
    "a mention with a file": mention_with_file,
    "a reply": reply,
    "the word stop": stop_word,
    "an edit": edit,
    "a direct message": direct_message,
    "/chats": command(""),
    "/chats WORDS": command("question"),
    "/chats help": command("help"),
    "/chats new": command("new"),
    "/chats token": command("token"),
    "/chats token revoke": command("token revoke"),
    "/chats here": command("here"),
    "/chats usage": command("usage"),
    "choosing a model": choose,
    "the start button": start_button,
    "the menu's options": menu_options,
    "Retry": retry,
    "thumbs": thumbs,
    "Home's model": home_default,
    "Home's New chat": home_new_chat,
    "Home": home,
    "a dialog": submit,
    "the global shortcut": global_shortcut,
    "the message shortcut": message_shortcut,
    "a session's title": pane_title,
    "a session's stop": pane_stop,
}
IN_NO_CHANNEL = {"Home", "Home's model", "Home's New chat", "the global shortcut"}
"""Doors that rules about channels do not concern."""
UNANSWERED = {"the menu's options", "a dialog", "Home", "a session's title", "a session's stop"}
"""Doors at which a refusal is no private message."""

Request = tuple[str, str, dict[str, Any] | None]


def api_requests(scene: Scene) -> dict[str, Request]:
    """Every request that reads or writes chats: method, path and body."""
    chat, own = scene.chat_id(), scene.conversation
    return {
        "create": ("POST", "/chat/conversations", {}),
        "continue": ("POST", "/chat/conversations", {"continues": chat}),
        "list": ("GET", "/chat/conversations", None),
        "search": ("GET", "/chat/conversations?q=question", None),
        "history": ("GET", f"/chat/conversations/{chat}", None),
        "models": ("GET", "/chat/models", None),
        "usage": ("GET", "/usage", None),
        "say": ("POST", f"/chat/conversations/{chat}/messages", {"content": "hi"}),
        "say in one's own": ("POST", f"/chat/conversations/{own}/messages", {"content": "hi"}),
        "retry": ("POST", f"/chat/conversations/{chat}/messages/{scene.failed_id}/retry", None),
        "v1 create": ("POST", "/api/v1/conversations", None),
        "v1 chat": ("POST", "/api/v1/chat", {"conversation_id": chat, "message": "hi"}),
        "new-chat": ("POST", "/new-chat", {"initial_message": "hi"}),
        "chat-message": ("POST", "/chat-message", {"chat": chat, "message": "hi"}),
        "list-chats": ("POST", "/list-chats", {}),
        "check-chat": ("POST", "/check-chat", {"chat": chat}),
        "list-messages": ("POST", "/list-messages", {"chat": chat}),
    }


OF_A_CHANNEL = {
    "continue",
    "history",
    "say",
    "retry",
    "v1 chat",
    "chat-message",
    "check-chat",
    "list-messages",
}
"""Requests about a chat that is in a channel."""


async def send(http: httpx.AsyncClient, request: Request) -> httpx.Response:
    method, path, body = request
    return await http.request(method, path, json=body)


def stored(world: World) -> dict[str, list[str]]:
    """Everything in the database but what was claimed, which says nothing of anybody."""
    names = [row["name"] for row in world.rows("SELECT name FROM sqlite_master WHERE type='table'")]
    kept = (name for name in names if name != "done_once" and not name.startswith("sqlite"))
    return {
        name: sorted(json.dumps(row, default=str) for row in world.rows(f"SELECT * FROM {name}"))
        for name in kept
    }


def told(world: World, user: str = WHO) -> list[str]:
    """Every private text that this person was sent, wherever."""
    dm = world.slack.workspace.dm(user)
    direct = [
        message.text
        for message in world.slack.workspace.messages(dm)
        if message.user == world.slack.bot_user.id
    ]
    return [*(each.text for each in world.slack.workspace.ephemerals(user)), *direct]


def written(world: World) -> list[tuple[str, str, bool]]:
    """What everybody sees of the bot in the channel, and whether a menu is in it."""
    return [
        (message.ts, message.text, bool(elements(message, "model_menu")))
        for message in world.slack.workspace.messages(PLACE)
        if message.user == world.slack.bot_user.id
    ]

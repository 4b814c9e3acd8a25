"""What exists before an entry point is tried: one person's chats, menus, dialogs and lists; and what can be observed of
them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.domain.tool_calls import PIN_SHOWN
from bot.sandbox.state.records import Ephemeral, Message, View
from bot.sandbox.types import Json
from handlers.views.approval import ACTIONS
from tests.api.conftest import client, token_for
from tests.handlers.world import World, elements

WHO = "alice"
PLACE = "general"
CALL, PIN = "c" * 32, "p" * 64
"""Of a tool call that waits for approval."""
APPROVAL = f"{CALL}-{PIN[:PIN_SHOWN]}"
"""Its id in buttons and in the API."""


@dataclass
class Scene:
    """What existed before the rule: a chat with a good and a failed answer, an open menu, dialogs, lists, a token."""

    world: World
    chat: str
    """The thread of a chat."""
    question: str
    """The thread of an unanswered menu."""
    token: str
    dialogs: dict[str, View]
    """By their callback id."""
    home: View
    listing: Ephemeral
    """The list that `/chats` shows."""
    board: Message
    """Elements that are otherwise shown only at other times: while an answer is written, or with another setting."""
    conversation: str = ""
    """An API client's conversation."""
    failed_id: str = ""

    @classmethod
    async def prepare(cls, world: World) -> Scene:
        """WHO must be an admin, for the dialog with the channel's settings."""
        chat, question = await chat_and_menu(world, status=402)
        token = await token_for(world, WHO)
        (listing,) = await world.slack.interactions.command(WHO, PLACE, "/chats", "")
        await world.idle()
        dialogs = await opened_dialogs(world, chat)
        await world.slack.views.open_home(WHO)
        home = await world.until(lambda: world.slack.views.home(WHO), "the Home tab")
        assert home is not None
        await ask_for_approval(world, chat)
        scene = cls(world, chat, question, token, dialogs, home, listing, board(world, chat))
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
        return id_of(self.world, self.chat)


async def chat_and_menu(world: World, status: int) -> tuple[str, str]:
    """The threads of a chat with a good and a failed answer, and of an unanswered menu.

    `status`: the HTTP status with which the model's server fails.
    """
    chat = await world.start("First question.", WHO)
    await world.answered(chat)
    world.fail("http", status=status)
    await world.slack.conversations.say(WHO, PLACE, "Second question.", chat)
    await world.answered(chat, 2)
    return chat, await world.ask("Which model?", WHO)


async def opened_dialogs(
    world: World, chat: str, who: str = WHO, place: str = PLACE
) -> dict[str, View]:
    """Opens every dialog that the bot has, as on three devices. `who` must be an admin."""
    slack, opened = world.slack, dict[str, View]()
    openings = {
        "new_chat": slack.interactions.command(who, place, "/chats", "new"),
        "channel_settings": slack.interactions.command(who, place, "/chats", "here"),
        "rename_chat": choose_in_header(world, chat, "rename", who, place),
    }
    for name, opening in openings.items():
        await opening

        def top(name: str = name) -> View | None:
            view = slack.views.modal(who)
            return view if view is not None and view.definition.get("callback_id") == name else None

        view = await world.until(top, f"the dialog {name}")
        assert view is not None
        opened[name] = view
    slack.workspace.modals[slack.workspace.user(who).id] = [each.id for each in opened.values()]
    return opened


def board(world: World, chat: str) -> Message:
    elements: list[Json] = [
        {"type": "button", "action_id": "stop_answer", "value": id_of(world, chat)},
        {"type": "checkboxes", "action_id": "web_search", "options": []},
        {"type": "static_select", "action_id": "reasoning", "options": []},
        {"type": "button", "action_id": "home_page.all", "value": "{}"},
        {"type": "checkboxes", "action_id": "home_web_search", "options": []},
        {"type": "static_select", "action_id": "home_reasoning", "options": []},
        {"type": "multi_external_select", "action_id": "channel_tools", "min_query_length": 0},
        {
            "type": "multi_external_select",
            "action_id": "channel_asked_tools",
            "min_query_length": 0,
        },
        *(
            {"type": "button", "action_id": action_id, "value": APPROVAL}
            for action_id in ACTIONS.values()
        ),
    ]
    slack, bot = world.slack, world.slack.bot_user
    message = Message(
        channel=slack.workspace.channel(PLACE).id,
        ts=slack.workspace.next_ts(),
        user=bot.id,
        thread_ts=chat,
        revisions=[
            slack.workspace.revision(
                "mrkdwn", "", [{"type": "actions", "block_id": "board", "elements": elements}]
            )
        ],
        bot_id=bot.bot_id,
        app_id=slack.workspace.app_id,
    )
    slack.workspace.channel(PLACE).messages[message.ts] = message
    return message


async def ask_for_approval(world: World, thread: str) -> None:
    """Makes a tool call wait for WHO's decision."""
    answer = world.ended(thread)[0]
    values = {
        **dict.fromkeys(("round", "number", "repeatable"), 0),
        **dict.fromkeys(
            ("said", "round_extra", "call_id", "arguments_hash", "extra", "result"), ""
        ),
        "id": CALL,
        "pin": PIN,
        "answer_id": answer["message_id"],
        "chat_id": answer["chat_id"],
        "name": "delete",
        "path": "files/delete",
        "arguments": "{}",
        "state": "asked",
        "asked": 1,
        "asker": world.slack.workspace.user(WHO).id,
        **dict.fromkeys(("created_at", "updated_at"), f"{datetime.now(UTC):%F %T.%f}"),
    }
    places = ", ".join("?" for _ in values)
    await world.execute(
        f"INSERT INTO tool_calls ({', '.join(values)}) VALUES ({places})", *values.values()
    )


def id_of(world: World, thread: str) -> str:
    return next(str(row["id"]) for row in world.chats() if row["thread"] == thread)


async def choose_in_header(
    world: World, chat: str, what: str, who: str = WHO, place: str = PLACE
) -> None:
    value = f"{what}:{id_of(world, chat)}"
    await world.slack.interactions.choose(who, world.header(chat, place), "chat_menu", value)


DIALOGS = {
    "new_chat": {"bobbin.text": {"dialog_text": "From the dialog?"}},
    "rename_chat": {"bobbin.title": {"title": "Mine now"}},
    "channel_settings": {"bobbin.instructions": {"channel_instructions": "Be rude."}},
}
"""The values entered in each dialog, by its callback id."""


async def submit_dialog(world: World, dialogs: dict[str, View], callback_id: str) -> str:
    """Submits a dialog that was opened before; returns the error below a field, which keeps it open."""
    view = dialogs[callback_id]
    errors = await world.slack.views.submit(view.user, DIALOGS[callback_id], view)
    assert view in world.slack.workspace.open_modals(view.user)
    (text,) = errors.values()
    return text


def stored(world: World) -> dict[str, list[str]]:
    """Everything in the database except claims, which say nothing about anybody, and the last use of tokens."""
    names = [row["name"] for row in world.rows("SELECT name FROM sqlite_master WHERE type='table'")]
    kept = (name for name in names if name != "done_once" and not name.startswith("sqlite"))
    return {
        name: sorted(
            json.dumps(row | {"last_used_at": None}, default=str)
            for row in world.rows(f"SELECT * FROM {name}")
        )
        for name in kept
    }


def told(world: World, user: str = WHO) -> list[str]:
    """Every private text that this person was sent, anywhere."""
    dm = world.slack.workspace.dm(user)
    direct = [
        message.text
        for message in world.slack.workspace.messages(dm)
        if message.user == world.slack.bot_user.id
    ]
    return [*(each.text for each in world.slack.workspace.ephemerals(user)), *direct]


def written(world: World) -> list[tuple[str, str, bool]]:
    """What everybody sees of the bot in the channel, and whether it includes a menu."""
    return [
        (message.ts, message.text, bool(elements(message, "model_menu")))
        for message in world.slack.workspace.messages(PLACE)
        if message.user == world.slack.bot_user.id
    ]

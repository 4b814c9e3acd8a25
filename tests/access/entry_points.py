"""Every entry point in Slack as one person's action."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bot import strings
from bot.sandbox.state.records import Ephemeral, Message, View
from tests.access.scene import PLACE, WHO, Scene, choose_in_header, submit_dialog

OTHER = "openai:demo/storyteller"
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


def pick(find: Callable[[Scene], Message | View], action_id: str) -> Try:
    """Chooses from a menu that was opened before the rule."""
    option = {"text": {"type": "plain_text", "text": "Storyteller"}, "value": OTHER}

    async def attempt(scene: Scene) -> None:
        action = {"action_id": action_id, "selected_option": option}
        await scene.world.slack.interactions.act(WHO, find(scene), action)

    return attempt


def options(find: Callable[[Scene], Message | View], action_id: str) -> Try:
    """Opens a menu of models, which is empty."""

    async def attempt(scene: Scene) -> None:
        shown = await scene.world.slack.interactions.menu(WHO, find(scene), action_id)
        assert not shown.get("option_groups")
        assert not shown.get("options")

    return attempt


def press(find: Callable[[Scene], Message | View | Ephemeral], action_id: str, **more: Any) -> Try:
    """Uses a button, a field or a checkbox that was shown before the rule."""

    async def attempt(scene: Scene) -> None:
        interactions, target = scene.world.slack.interactions, find(scene)
        if more:
            await interactions.act(WHO, target, {"action_id": action_id, **more})
        else:
            await interactions.press(WHO, target, action_id)

    return attempt


def header_menu(what: str) -> Try:
    async def attempt(scene: Scene) -> None:
        await choose_in_header(scene.world, scene.chat, what)

    return attempt


def open_home(tab: str) -> Try:
    async def attempt(scene: Scene) -> None:
        await scene.world.slack.views.open_home(WHO, tab)

    return attempt


def submit(callback_id: str) -> Try:
    async def attempt(scene: Scene) -> None:
        text = await submit_dialog(scene.world, scene.dialogs, callback_id)
        assert text in strings.NOT_ALLOWED.values()

    return attempt


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


def on_board(scene: Scene) -> Message:
    return scene.board


def at_home(scene: Scene) -> View:
    return scene.home


SLACK_ENTRY_POINTS: dict[str, Try] = {
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
    "choosing a model": pick(Scene.menu, "model_menu"),
    "the start button": press(Scene.menu, "start_chat"),
    "the checkbox that searches": press(on_board, "web_search", selected_options=[]),
    "how much a model reasons": pick(on_board, "reasoning"),
    "the menu's options": options(Scene.menu, "model_menu"),
    "Stop": press(on_board, "stop_answer"),
    "Retry": press(Scene.failed, "retry_answer"),
    "Retry with another model": pick(Scene.failed, "retry_with_model"),
    "its options": options(Scene.failed, "retry_with_model"),
    "Continue in a new chat": press(Scene.failed, "continue_chat"),
    "thumbs": press(Scene.good, "feedback"),
    "Ask another model": pick(Scene.good, "ask_another"),
    "the options of Ask another model": options(Scene.good, "ask_another"),
    "Allow once": press(on_board, "tool_allow_once"),
    "Always in this chat": press(on_board, "tool_allow_always"),
    "Deny": press(on_board, "tool_deny"),
    "the header's Continue": header_menu("continue"),
    "the header's Export": header_menu("export"),
    "the header's Rename": header_menu("rename"),
    "a page of the list": press(lambda scene: scene.listing, "chats_page.again"),
    "the list's New chat": press(lambda scene: scene.listing, "new_chat"),
    "Home's model": pick(at_home, "home_model"),
    "the options of Home's model": options(at_home, "home_model"),
    "Home's Always": press(at_home, "home_always", selected_options=[]),
    "Home's searching": press(on_board, "home_web_search", selected_options=[]),
    "Home's reasoning": pick(on_board, "home_reasoning"),
    "Home's search": press(at_home, "home_search", value="question"),
    "a page of Home": press(on_board, "home_page.all"),
    "Home's New chat": press(at_home, "new_chat"),
    "Home": open_home("home"),  # after what is shown there
    "the pane": open_home("messages"),
    "a dialog": submit("new_chat"),
    "a dialog's options": options(lambda scene: scene.dialogs["new_chat"], "dialog_model"),
    "renaming": submit("rename_chat"),
    "a channel's settings": submit("channel_settings"),
    "the options of a channel's settings": options(
        lambda scene: scene.dialogs["channel_settings"], "channel_model"
    ),
    "the tools of a channel": options(on_board, "channel_tools"),
    "its tools that ask": options(on_board, "channel_asked_tools"),
    "the global shortcut": global_shortcut,
    "the message shortcut": message_shortcut,
    "a session's title": pane_title,
    "a session's stop": pane_stop,
}
IN_NO_CHANNEL = {
    "Home",
    "Home's model",
    "the options of Home's model",
    "Home's Always",
    "Home's search",
    "Home's New chat",
    "the global shortcut",
}
"""Doors to which rules about channels do not apply."""
UNANSWERED = {
    "the menu's options",
    "its options",
    "the options of Ask another model",
    "the options of Home's model",
    "a dialog's options",
    "the options of a channel's settings",
    "the tools of a channel",
    "its tools that ask",
    "a dialog",
    "renaming",
    "a channel's settings",
    "Home",
    "the pane",
    "a session's title",
    "a session's stop",
}
"""Doors at which a refusal is not a private message."""

"""Block Kit shared by all surfaces: the domain's values as what Slack shows. Pure; Slack's limits are kept here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot import sentences, strings
from bot.chats.models import menu_key
from bot.domain import Chat, ModelInfo
from bot.model_options import NO_OPTIONS, ModelOptions
from bot.providers.catalogue import ModelGroup
from handlers.markdown.mention_guard import guarded
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.header_menu import header_menu
from storage.chat_requests import ChatRequest

Block = dict[str, Any]
View = dict[str, Any]

MODEL_MENU_ACTION = "model_menu"
START_CHAT_ACTION = "start_chat"
STOP_ANSWER_ACTION = "stop_answer"
RETRY_ANSWER_ACTION = "retry_answer"
RETRY_WITH_MODEL_ACTION = "retry_with_model"
FEEDBACK_ACTION = "feedback"
CONTINUE_CHAT_ACTION = "continue_chat"
ASK_ANOTHER_ACTION = "ask_another"
NEW_CHAT_ACTION = "new_chat"
"""Also the callback id of the dialog and of the global shortcut."""
BLOCK_ID_PREFIX = "bobbin."
"""Starts the block ids of all messages that are not answers, which distinguishes a lost menu from a lost answer."""
MAX_SECTION_LENGTH = 3_000
MAX_CONTEXT_LENGTH = 2_000
MAX_LABEL_LENGTH = 75
"""Characters of the heading of a group of options."""
MAX_VALUE_LENGTH = 2_000
"""Characters of a button's value."""


def is_direct(channel: str) -> bool:
    """Whether the channel is a direct message: between one person and the bot, or between two others.

    Only their ids begin with D; those of group direct messages don't.
    """
    return channel.startswith("D")


def markdown(text: str) -> list[Block]:
    return [{"type": "markdown", "text": text}]


def plain_sections(text: str) -> list[Block]:
    """Plain text of any length, in as many sections as it takes."""
    pieces = (text[at : at + MAX_SECTION_LENGTH] for at in range(0, len(text), MAX_SECTION_LENGTH))
    return [
        {"type": "section", "text": {"type": "plain_text", "text": piece}}
        for piece in pieces
        if piece.strip()
    ]


def section(text: str, **more: Any) -> Block:
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": text[:MAX_SECTION_LENGTH]},
        **more,
    }


def context(*texts: str) -> Block:
    elements = [{"type": "mrkdwn", "text": text[:MAX_CONTEXT_LENGTH]} for text in texts]
    return {"type": "context", "elements": elements}


def button(text: str, action: str, value: str, style: str | None = None) -> Block:
    block: Block = {
        "type": "button",
        "action_id": action,
        "value": value,
        "text": plain_text(text, emoji=True),
    }
    return {**block, "style": style} if style else block


def plain_text(text: str, limit: int = 75, *, emoji: bool = False) -> Block:
    """A text object without formatting; with `emoji`, colon codes are shown as emoji. Slack refuses an empty one."""
    block: Block = {"type": "plain_text", "text": plain(text, limit) or "–"}
    return {**block, "emoji": True} if emoji else block


def model_select(
    action: str, preselected: ModelInfo | None = None, placeholder: str | None = None
) -> Block:
    """A searchable menu of models, whose options Slack asks the bot for."""
    select: Block = {
        "type": "external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": plain_text(placeholder or strings.MENU_PLACEHOLDER, 150),
    }
    return select if preselected is None else {**select, "initial_option": option(preselected)}


def option(info: ModelInfo) -> Block:
    return {"text": plain_text(info.label), "value": menu_key(info.ref)}


def option_groups(groups: Iterable[ModelGroup]) -> list[Block]:
    """The options of a menu of models, grouped by provider."""
    return [
        {"label": _group_label(group), "options": [option(info) for info in group.models]}
        for group in groups
    ]


def _group_label(group: ModelGroup) -> Block:
    """The provider's name, and how many of its models are listed if not all are."""
    if not group.hidden:
        return plain_text(group.label)
    shown = len(group.models)
    more = strings.MENU_MORE.format(shown=shown, total=shown + group.hidden)
    return plain_text(f"{plain(group.label, MAX_LABEL_LENGTH - len(more))}{more}")


def is_service_message(message: dict[str, Any]) -> bool:
    """Whether one of the bot's messages is a menu, a header or a notice, not an answer."""
    return any(
        str(block.get("block_id", "")).startswith(BLOCK_ID_PREFIX)
        for block in message.get("blocks") or ()
    )


def shows_files(message: dict[str, Any]) -> bool:
    """Whether one of the bot's messages holds files, such as an answer's pictures."""
    return bool(message.get("files"))


# -- the menu ------------------------------------------------------------------------------------------------------


def menu(
    request: ChatRequest, preselected: ModelInfo | None, options: Sequence[Block] = ()
) -> list[Block]:
    """The message that asks for a model, and for the question if there is none yet.

    `options`: the elements for what can be chosen with it.
    """
    prompt = strings.MENU_PROMPT if request.text or request.files else strings.MENU_ASKS
    elements = [model_select(MODEL_MENU_ACTION, preselected)]
    if preselected is not None:
        label = strings.START_BUTTON.format(model=preselected.label)
        elements.append(button(label, START_CHAT_ACTION, f"{request.id}", "primary"))
    elements += options
    hint = (
        strings.START_HINT.format(user=request.user)
        if preselected is not None
        else strings.MENU_NO_MODELS
    )
    return [
        {**section(prompt), "block_id": menu_block_id(request.id)},
        {
            "type": "actions",
            "block_id": model_select_block_id(request.id, preselected),
            "elements": elements,
        },
        context(hint),
    ]


def waiting_for_text(request: ChatRequest, model: str) -> list[Block]:
    """What the menu becomes when a model is chosen before the question is asked."""
    return [
        {**section(strings.WAITING_FOR_TEXT), "block_id": menu_block_id(request.id)},
        context(mrkdwn_escape(plain(model, 150))),
    ]


def menu_block_id(request_id: str) -> str:
    """The id of the block that identifies a request's menu."""
    return f"{BLOCK_ID_PREFIX}menu.{request_id}"


def model_select_block_id(request_id: str, preselected: ModelInfo | None) -> str:
    """Carries the request and the preselected model, so that a restart loses neither."""
    key = menu_key(preselected.ref) if preselected else ""
    return f"{BLOCK_ID_PREFIX}choose.{request_id}.{key}"


def parse_model_select_block_id(block_id: str) -> tuple[str, str]:
    """The request's id and the preselected model's key. Raises ValueError for any other block."""
    prefix, _, rest = block_id.partition(".")
    kind, _, rest = rest.partition(".")
    request_id, _, key = rest.partition(".")
    if f"{prefix}." != BLOCK_ID_PREFIX or kind != "choose" or not request_id:
        raise ValueError("not a menu")
    return request_id, key


# -- the header ----------------------------------------------------------------------------------------------------


def header(
    chat: Chat,
    model: str,
    hint: str = "",
    *,
    options: ModelOptions = NO_OPTIONS,
    links: Sequence[str] = (),
    summary: str = "",
    stop: bool = False,
) -> list[Block]:
    """The chat's header, which the menu becomes: title, model, owner, and the button that stops an answer.

    `options`: how the model is asked.
    `links`: to the chats that it continues and is continued by, as mrkdwn. `summary`: of the one that it continues.
    `stop`: with the button.
    """
    title = section(
        f"*{mrkdwn_escape(plain(sentences.title(chat), 200))}*", accessory=header_menu(chat.id)
    )
    about = (
        f"{mrkdwn_escape(plain(model, 150))} · {strings.HEADER_STARTED_BY.format(user=chat.owner)}"
    )
    if chat.instructions:
        about = f"{about} · {strings.HEADER_INSTRUCTIONS}"
    about = " · ".join([about, *sentences.chosen(options)])
    hints = [context(hint)] if hint else []
    stop_button = button(strings.STOP_BUTTON, STOP_ANSWER_ACTION, chat.id)
    return [
        {**title, "block_id": header_block_id(chat.id)},
        context(about),
        *hints,
        *([context(*links)] if links else ()),
        *(markdown(guarded(summary)) if summary else ()),
        *([{"type": "actions", "elements": [stop_button]}] if stop else ()),
    ]


def has_stop(content: Sequence[Block]) -> bool:
    """Whether these blocks have a Stop button."""
    buttons = (each for block in content for each in block.get("elements") or ())
    return any(each.get("action_id") == STOP_ANSWER_ACTION for each in buttons)


def header_block_id(chat_id: str) -> str:
    """The id of the block that identifies a chat's header."""
    return f"{BLOCK_ID_PREFIX}header.{chat_id}"


def continue_button(chat_id: str) -> Block:
    return button(strings.CONTINUE_BUTTON, CONTINUE_CHAT_ACTION, chat_id)


# -- notices -------------------------------------------------------------------------------------------------------


def limit_reached(chat_id: str, limit: int, refused: str, ts: str) -> list[Block]:
    """The notice to a user whose message the chat has no room for. `refused`: its text; `ts`: where it stands."""
    value = f"{chat_id}@{ts}\n{refused}"
    if len(value) > MAX_VALUE_LENGTH:
        value = f"{value[: MAX_VALUE_LENGTH - 1]}…"
    ways_on = [
        button(strings.NEW_CHAT, NEW_CHAT_ACTION, value, "primary"),
        continue_button(chat_id),
    ]
    text = strings.CHAT_FULL.format(count=limit)
    return [
        {**section(text), "block_id": f"{BLOCK_ID_PREFIX}limit.{chat_id}"},
        {"type": "actions", "elements": ways_on},
    ]


@dataclass(frozen=True, slots=True)
class NewChat:
    """What a "New chat" button says."""

    like: str
    """Id of the chat whose model is to be preselected."""
    text: str = field(default="", repr=False)
    """What the dialog is to hold, as much of it as a button can carry."""
    ts: str = ""
    """The message in that chat's thread which has all of it; empty in older buttons."""


def parse_new_chat(value: str) -> NewChat:
    source, _, text = value.partition("\n")
    chat_id, _, ts = source.partition("@")
    return NewChat(chat_id, text, ts)


def api_message(message_id: str, text: str) -> list[Block]:
    """What a user said through the API; `text` is ready mrkdwn."""
    return [{**section(text), "block_id": api_message_block_id(message_id)}]


def pictures_block_id(answer_id: str) -> str:
    """That of the line which says that an answer's pictures are not shown."""
    return f"{BLOCK_ID_PREFIX}pictures.{answer_id}"


def spoken_block_id(message_id: str) -> str:
    """That of the message which shows what was said in a message's voice clips."""
    return f"{BLOCK_ID_PREFIX}spoken.{message_id}"


def api_message_block_id(message_id: str) -> str:
    """The id of the block that identifies the message which shows an API message."""
    return f"{BLOCK_ID_PREFIX}via.{message_id}"

"""Block Kit: from the domain's values to what Slack shows. Pure; every limit of Slack's is kept here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bot import strings
from bot.chats.models import menu_key
from bot.domain import Answer, AnswerResult, Chat, ModelInfo, Status
from bot.providers.catalogue import ModelGroup
from handlers.markdown.text import mrkdwn_escape, plain
from storage.chat_requests import ChatRequest

Block = dict[str, Any]

MENU = "model_menu"
START = "start_chat"
STOP = "stop_answer"
RETRY = "retry_answer"
RETRY_WITH = "retry_with_model"
FEEDBACK = "feedback"
NEW_CHAT = "new_chat"
PAGE = "chats_page"
_OURS = "bobbin."
"""Begins the block ids of messages that are not answers: by it a lost message is told from a lost answer."""


def markdown(text: str) -> list[Block]:
    return [{"type": "markdown", "text": text}]


def section(text: str, **more: Any) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}, **more}


def context(*texts: str) -> Block:
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": text[:2000]} for text in texts],
    }


def button(text: str, action: str, value: str, style: str | None = None) -> Block:
    made: Block = {"type": "button", "action_id": action, "value": value, "text": _label(text)}
    return {**made, "style": style} if style else made


def _label(text: str, limit: int = 75) -> Block:
    return {"type": "plain_text", "text": plain(text, limit) or "–", "emoji": True}


def is_ours(message: dict[str, Any]) -> bool:
    """Whether a message of the bot's is a menu, a header or a notice, not an answer."""
    return any(
        str(block.get("block_id", "")).startswith(_OURS) for block in message.get("blocks") or ()
    )


def has_block(message: dict[str, Any], block_id: str) -> bool:
    return any(block.get("block_id") == block_id for block in message.get("blocks") or ())


def menu_id(request_id: str) -> str:
    """The block by which a question's menu is known."""
    return f"{_OURS}menu.{request_id}"


def via(message_id: str, text: str) -> list[Block]:
    """What a program said for a person; `text` is ready mrkdwn."""
    return [{**section(text), "block_id": f"{_OURS}via.{message_id}"}]


def is_via_of(message: dict[str, Any], message_id: str) -> bool:
    return has_block(message, f"{_OURS}via.{message_id}")


# -- the menu ------------------------------------------------------------------------------------------------------


def menu(request: ChatRequest, preselected: ModelInfo | None) -> list[Block]:
    """The message that asks for a model, and for the question where there is none yet."""
    asks = strings.MENU_PROMPT if request.text or request.files else strings.MENU_ASKS
    select: Block = {
        "type": "external_select",
        "action_id": MENU,
        "min_query_length": 0,
        "placeholder": _label(strings.MENU_PLACEHOLDER, 150),
    }
    elements = [select]
    if preselected is not None:
        select["initial_option"] = option(preselected)
        label = strings.START_BUTTON.format(model=preselected.label)
        elements.append(button(label, START, f"{request.id}", "primary"))
    hint = strings.START_HINT if preselected is not None else strings.MENU_NO_MODELS
    return [
        {**section(asks), "block_id": f"{_OURS}menu.{request.id}"},
        {"type": "actions", "block_id": menu_block(request.id, preselected), "elements": elements},
        context(hint),
    ]


def menu_block(request_id: str, preselected: ModelInfo | None) -> str:
    """The menu's block id carries the question and what was preselected, so that a restart loses neither."""
    return f"{_OURS}choose.{request_id}.{menu_key(preselected.ref) if preselected else ''}"


def read_menu_block(block_id: str) -> tuple[str, str]:
    """ChatRequest id and preselected key. Raises ValueError for a block that is no menu."""
    prefix, _, rest = block_id.partition(".")
    kind, _, rest = rest.partition(".")
    request_id, _, key = rest.partition(".")
    if f"{prefix}." != _OURS or kind != "choose" or not request_id:
        raise ValueError("not a menu")
    return request_id, key


def option(info: ModelInfo) -> Block:
    return {
        "text": {"type": "plain_text", "text": plain(info.label, 75) or "–"},
        "value": menu_key(info.ref),
    }


def option_groups(groups: Iterable[ModelGroup]) -> list[Block]:
    return [
        {
            "label": {"type": "plain_text", "text": plain(group.label, 75) or "–"},
            "options": [option(info) for info in group.models],
        }
        for group in groups
    ]


def waiting_for_text(request: ChatRequest, model: str) -> list[Block]:
    """The menu's message when the model is chosen and the question is not asked yet."""
    return [
        {**section(strings.WAITING_FOR_TEXT), "block_id": f"{_OURS}menu.{request.id}"},
        context(mrkdwn_escape(plain(model, 150))),
    ]


# -- the header ----------------------------------------------------------------------------------------------------


def header(chat: Chat, model: str, hint: str = "") -> list[Block]:
    """What a menu becomes: title, model, who, and the button that stops an answer."""
    title = section(f"*{mrkdwn_escape(plain(chat.title, 200))}*")
    about = (
        f"{mrkdwn_escape(plain(model, 150))} · {strings.HEADER_STARTED_BY.format(user=chat.owner)}"
    )
    hints = [context(hint)] if hint else []
    stop: Block = {"type": "actions", "elements": [button(strings.STOP_BUTTON, STOP, chat.id)]}
    return [{**title, "block_id": f"{_OURS}header.{chat.id}"}, context(about), *hints, stop]


# -- the answer ----------------------------------------------------------------------------------------------------


def answer_footer(
    answer: Answer, result: AnswerResult, model: str, left: int | None, rich: bool
) -> list[Block]:
    """What stands below an answer: thumbs and a line of facts, or what went wrong and Retry.

    `rich` is False when Slack has refused the newer blocks.
    """
    if result.status is Status.FAILED:
        return _failure(answer, result, model)
    facts: list[Block] = [context(_facts(result, model, left))]
    return [*facts, _thumbs(answer.id)] if rich and result.status is Status.DONE else facts


def _failure(answer: Answer, result: AnswerResult, model: str) -> list[Block]:
    sentence = strings.failure(result.error, plain(model, 150), plain(result.detail or "", 200))
    elements: list[Block] = [button(strings.RETRY_BUTTON, RETRY, answer.id, "primary")]
    if result.error == "model_gone":
        select: Block = {
            "type": "external_select",
            "action_id": RETRY_WITH,
            "min_query_length": 0,
            "placeholder": _label(strings.MENU_PLACEHOLDER, 150),
        }
        elements.insert(0, select)
    block_id = f"answer.{answer.id}.{answer.attempt}"
    return [
        section(f":warning: {mrkdwn_escape(sentence)}"),
        {"type": "actions", "block_id": block_id, "elements": elements},
    ]


def read_answer_block(block_id: str) -> str:
    """The answer's id. Raises ValueError for another block."""
    kind, _, rest = block_id.partition(".")
    if kind != "answer":
        raise ValueError("not an answer")
    return rest.partition(".")[0]


def _facts(result: AnswerResult, model: str, left: int | None) -> str:
    facts = [mrkdwn_escape(plain(model, 150))]
    if result.seconds is not None:
        facts.append(strings.SECONDS.format(seconds=result.seconds))
    if result.usage is not None:
        facts.append(
            strings.TOKENS.format(count=result.usage.prompt_tokens + result.usage.completion_tokens)
        )
        if result.usage.cost:
            facts.append(strings.COST.format(dollars=result.usage.cost))
    if result.cut:
        facts.append(strings.CUT_BY_LENGTH)
    if left is not None:
        facts.append(
            strings.MESSAGE_LEFT_ONE if left == 1 else strings.MESSAGES_LEFT.format(count=left)
        )
    return " · ".join(facts)


def _thumbs(answer_id: str) -> Block:
    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK,
                "positive_button": {"text": _label("👍"), "value": f"{answer_id}:1",
                                    "accessibility_label": strings.GOOD_ANSWER},
                "negative_button": {"text": _label("👎"), "value": f"{answer_id}:-1",
                                    "accessibility_label": strings.BAD_ANSWER},
            }
        ],
    }  # fmt: skip


def limit_reached(chat_id: str) -> list[Block]:
    return [
        {**section(strings.LIMIT_REACHED), "block_id": f"{_OURS}limit.{chat_id}"},
        {"type": "actions", "elements": [button(strings.NEW_CHAT, NEW_CHAT, chat_id, "primary")]},
    ]


# -- lists ---------------------------------------------------------------------------------------------------------


def chat_row(chat: Chat, model: str, link: str | None, now: datetime) -> Block:
    title = mrkdwn_escape(plain(chat.title, 150))
    heading = f"*<{mrkdwn_escape(link)}|{title}>*" if link else f"*{title}*"
    count = (
        strings.MESSAGES_ONE
        if chat.message_count == 1
        else strings.MESSAGES.format(count=chat.message_count)
    )
    return section(
        f"{heading}\n{mrkdwn_escape(plain(model, 100))} · {age(chat.updated_at, now)} · {count}"
    )


def chat_list(
    rows: Sequence[Block],
    heading: str,
    empty: str,
    pages: Sequence[tuple[str, str]] = (),
    note: str = "",
    action: str = PAGE,
) -> list[Block]:
    """A list of chats. `pages`: label and value of each paging button, whose action ids begin with `action`."""
    if not rows:
        return [section(empty)]
    made: list[Block] = [{"type": "header", "text": _label(heading, 150)}, *rows]
    if note and pages:
        made.append(context(note))
    if pages:
        elements = [
            button(label, f"{action}.{number}", value)
            for number, (label, value) in enumerate(pages)
        ]
        made.append({"type": "actions", "elements": elements})
    return made


def age(then: datetime, now: datetime) -> str:
    """How long ago, in words: "just now", "5 min ago", "3 h ago", "2 d ago", then the date."""
    seconds = max(0.0, (now - then).total_seconds())
    if seconds < 60:
        return strings.AGE_NOW
    if seconds < 3600:
        return strings.AGE_MINUTES.format(count=int(seconds // 60))
    if seconds < 86_400:
        return strings.AGE_HOURS.format(count=int(seconds // 3600))
    if seconds < 30 * 86_400:
        return strings.AGE_DAYS.format(count=int(seconds // 86_400))
    return f"{then:%Y-%m-%d}"

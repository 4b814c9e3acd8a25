"""Block Kit of the Home tab and the dialog. Pure; every limit of Slack's views is kept here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2s
from typing import Any

from bot import strings
from bot.chats.attachments.rules import MOST_FILES, listed, one_line
from bot.chats.models import menu_key
from bot.domain import ModelInfo, SharedFile
from handlers.live_views.chat_page import ChatListView, ListQuery
from handlers.markdown.text import mrkdwn_escape, plain
from handlers.views.blocks import NEW_CHAT, Block, button, context, has_block, option, section
from storage.chat_requests import ChatRequest

View = dict[str, Any]

ASK_BOBBIN = "ask_bobbin"
DIALOG_MODEL = "dialog_model"
DIALOG_TEXT = "dialog_text"
HOME_MODEL = "home_model"
HOME_ALWAYS = "home_always"
HOME_SEARCH = "home_search"
HOME_PAGE = "home_page"
MODEL_BLOCK = "bobbin.model"
TEXT_BLOCK = "bobbin.text"
SEARCH_BLOCK = "bobbin.search"

TEXT_LIMIT = 3_000
"""Characters of one text field in Slack."""
QUOTE_LIMIT = 2_000
"""Characters of a message that the dialog quotes; the rest of the field is for what is asked about it."""
SECTION = 2_900
SECTIONS = 4
"""Slack takes about 13,000 characters in all blocks of a message together."""


# -- the dialog ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where a chat is wanted; travels in the dialog."""

    channel: str = ""
    """Empty: in the person's direct messages."""
    thread: str = ""
    """Empty: in a new thread."""
    response_url: str = ""
    """Where the person can be told something, for half an hour."""
    files: tuple[tuple[str, str], ...] = ()
    """Id and name of each file that goes along."""

    def dump(self) -> str:
        """At most 3,000 characters, for Slack to keep."""
        known = asdict(self) | {
            "files": [(id[:20], name[:60]) for id, name in self.files[:MOST_FILES]]
        }
        nameless = known | {"files": [(id, "") for id, _ in known["files"]]}
        forms = [json.dumps(form) for form in (known, nameless, nameless | {"response_url": ""})]
        return next((form for form in forms if len(form) <= 3_000), forms[-1])

    @classmethod
    def load(cls, text: str) -> Wanted:
        """What `dump` wrote. Raises ValueError."""
        found = json.loads(text or "{}")
        if not isinstance(found, dict):
            raise ValueError("not a place")
        told = found.get("files")
        pairs = (
            [pair for pair in told if isinstance(pair, list) and len(pair) == 2]
            if isinstance(told, list)
            else []
        )
        fields = {
            name: str(found.get(name) or "") for name in ("channel", "thread", "response_url")
        }
        return cls(**fields, files=tuple((str(id), str(name)) for id, name in pairs))

    @property
    def shared(self) -> tuple[SharedFile, ...]:
        """The files that go along; what else there is to know of them is asked when they are fetched."""
        return tuple(SharedFile(id, name) for id, name in self.files)


def dialog(
    wanted: Wanted,
    preselected: ModelInfo | None = None,
    *,
    text: str = "",
    about: bool = False,
    there: tuple[str, str] | None = None,
) -> View:
    """The modal that asks for model and first message.

    `about`: it is about a message. `there`: title and model of the chat that stands where this one is wanted.
    """
    field: Block = {
        "type": "plain_text_input",
        "action_id": DIALOG_TEXT,
        "multiline": True,
        "max_length": TEXT_LIMIT,
        "placeholder": _plain(strings.DIALOG_PLACEHOLDER),
    }
    if text:
        field["initial_value"] = text[:TEXT_LIMIT]
    label = strings.DIALOG_MESSAGE if there is None else strings.DIALOG_MESSAGE_MORE
    asks: Block = {
        "type": "input",
        "block_id": TEXT_BLOCK,
        "label": _plain(label),
        "element": field,
    }
    if there is None:
        made = [_model_input(preselected), asks, context(_where(wanted))]
    else:
        title, model = (mrkdwn_escape(plain(name, 150)) for name in there)
        made = [asks, context(strings.DIALOG_IN_CHAT.format(title=title, model=model))]
    if wanted.files:
        made.append(context(strings.DIALOG_FILES.format(names=_named(wanted.shared))))
    return {
        "type": "modal",
        "callback_id": NEW_CHAT,
        "title": _plain(strings.DIALOG_TITLE_ABOUT if about else strings.DIALOG_TITLE, 24),
        "submit": _plain(strings.DIALOG_START if there is None else strings.DIALOG_ASK, 24),
        "close": _plain(strings.DIALOG_CANCEL, 24),
        "private_metadata": wanted.dump(),
        "blocks": made,
    }


def _named(files: Sequence[SharedFile]) -> str:
    return mrkdwn_escape(plain(listed([one_line(file.name) for file in files]), 900))


def _model_input(preselected: ModelInfo | None) -> Block:
    element = _model_select(DIALOG_MODEL, preselected)
    return {
        "type": "input",
        "block_id": MODEL_BLOCK,
        "label": _plain(strings.DIALOG_MODEL),
        "element": element,
    }


def _model_select(action: str, preselected: ModelInfo | None) -> Block:
    select: Block = {
        "type": "external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": _plain(strings.MENU_PLACEHOLDER),
    }
    return select if preselected is None else {**select, "initial_option": option(preselected)}


def _where(wanted: Wanted) -> str:
    if not wanted.channel or wanted.channel.startswith(
        "D"
    ):  # a DM of two others' reads the same: I am not in it
        return strings.DIALOG_IN_DIRECT
    if wanted.thread:
        return strings.DIALOG_IN_THREAD
    return strings.DIALOG_IN_CHANNEL.format(channel=wanted.channel)


def quote(text: str) -> str:
    """A message as the beginning of what is asked about it."""
    text = text.strip()
    kept = text if len(text) <= QUOTE_LIMIT else text[: QUOTE_LIMIT - 1].rstrip() + "…"
    lines = "\n".join(f"> {line}".rstrip() for line in kept.splitlines())
    return f"{lines}\n\n"[:TEXT_LIMIT] if lines else ""


# -- what was asked in a dialog, as a message ----------------------------------------------------------------------


def asked(question: ChatRequest, note: str = "") -> list[Block]:
    """Whose question it is, and the question: nothing in it pings, and the chat holds all of it even if this cannot."""
    pieces = _pieces(question.text or "")
    made = [
        section(f"{strings.ASKED.format(user=question.user)}\n{pieces[0]}"),
        *map(section, pieces[1:]),
    ]
    made[0]["block_id"] = _asked_block(question.id)
    if question.files:
        made.append(context(strings.ASKED_WITH.format(names=_named(question.files))))
    return [*made, context(note)] if note else made


def is_asked_of(message: dict[str, Any], question_id: str) -> bool:
    return has_block(message, _asked_block(question_id))


def _asked_block(question_id: str) -> str:
    return f"bobbin.asked.{question_id}"


def _pieces(text: str) -> list[str]:
    """The text escaped and cut into what sections hold; at least one piece."""
    pieces = [""]
    for character in text:
        escaped = mrkdwn_escape(character)
        if len(pieces[-1]) + len(escaped) > SECTION - 50:
            if len(pieces) == SECTIONS:
                pieces[-1] += "…"
                break
            pieces.append("")
        pieces[-1] += escaped
    return [piece if piece.strip() else "…" for piece in pieces]


# -- the Home tab --------------------------------------------------------------------------------------------------


def home(listing: ChatListView, *, shown: ModelInfo | None, gone: str | None, always: bool) -> View:
    """The Home tab. `gone`: the person's own model, if it is not offered."""
    look, rows = listing.look, listing.blocks
    many = f"{listing.total:,}{'+' if listing.at_least else ''}"
    count = strings.HOME_COUNT_ONE if listing.total == 1 else strings.HOME_COUNT.format(count=many)
    again = [button(strings.HOME_ALL, f"{HOME_PAGE}.all", ListQuery().dump())]
    blocks: list[Block] = [
        section(strings.HOME_INTRO),
        {"type": "actions", "elements": [button(strings.NEW_CHAT, NEW_CHAT, "home", "primary")]},
        *_preferences(shown, gone, always),
        {"type": "divider"},
        _search(look.search),
        *([{"type": "actions", "elements": again}] if look.search else []),
        *rows[:1],
        *([context(count)] if listing.total else []),
        *rows[1:],
    ]
    return {"type": "home", "blocks": blocks[:100], "private_metadata": look.dump()}


def _preferences(shown: ModelInfo | None, gone: str | None, always: bool) -> list[Block]:
    sentence = strings.HOME_MODEL if shown is not None else strings.HOME_NO_MODELS
    if gone is not None:
        sentence = strings.HOME_MODEL_GONE.format(model=mrkdwn_escape(plain(gone, 100)))
    always_option = {
        "text": _plain(strings.HOME_ALWAYS, 75),
        "description": _plain(strings.HOME_ALWAYS_HINT, 75),
        "value": "always",
    }
    boxes: Block = {"type": "checkboxes", "action_id": HOME_ALWAYS, "options": [always_option]}
    if always:
        boxes["initial_options"] = [always_option]
    # Slack keeps what was selected in a block whose id it knows, so each state has an id of its own.
    state = f"{shown and menu_key(shown.ref)} {gone} {always}"
    block_id = f"bobbin.prefer.{blake2s(state.encode(), digest_size=8).hexdigest()}"
    elements = [_model_select(HOME_MODEL, shown), boxes]
    return [section(sentence), {"type": "actions", "block_id": block_id, "elements": elements}]


def _search(search: str) -> Block:
    field: Block = {
        "type": "plain_text_input",
        "action_id": HOME_SEARCH,
        "placeholder": _plain(strings.HOME_SEARCH_HINT),
        "max_length": 200,
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]},
    }
    if search:
        field["initial_value"] = search[:200]
    known = blake2s(search.encode(), digest_size=8).hexdigest()
    return {
        "type": "input",
        "block_id": f"{SEARCH_BLOCK}.{known}",
        "dispatch_action": True,
        "optional": True,
        "label": _plain(strings.HOME_SEARCH),
        "element": field,
    }


def _plain(text: str, limit: int = 150) -> Block:
    return {"type": "plain_text", "text": plain(text, limit) or "–"}

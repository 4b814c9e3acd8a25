"""The dialog that starts a chat as a modal view, and the message that shows the submitted question. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bot import strings
from bot.chats.attachments.rules import MAX_FILES, join_names, short_name
from bot.chats.models import NOTHING_OFFERED, NOTHING_PRESELECTED, OfferedOptions, Preselection
from bot.domain import ModelInfo, SharedFile
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views import model_options
from handlers.views.blocks import (
    NEW_CHAT_ACTION,
    Block,
    View,
    context,
    is_direct,
    plain_text,
    section,
)
from handlers.views.model_select import model_select
from storage.chat_requests import ChatRequest

ASK_BOBBIN_SHORTCUT = "ask_bobbin"
DIALOG_MODEL_ACTION = "dialog_model"
DIALOG_TEXT_ACTION = "dialog_text"
MODEL_BLOCK = "bobbin.model"
TEXT_BLOCK = "bobbin.text"
QUOTE_BLOCK = "bobbin.quote"

MAX_TEXT_LENGTH = 3_000
"""Characters of one text field in Slack."""
MAX_QUOTE_LENGTH = 2_000
"""Characters of the message that the dialog quotes."""
MAX_METADATA_LENGTH = 3_000
"""Characters that Slack stores with a view."""
MAX_SECTION_LENGTH = 2_900
MAX_SECTIONS = 4
"""Slack accepts about 13,000 characters in all blocks of a message together."""


# -- the dialog ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DialogTarget:
    """Where the chat of a dialog is to start. The dialog carries it as its metadata."""

    channel: str = ""
    """Empty: in the user's direct messages."""
    thread: str = ""
    """Empty: in a new thread."""
    response_url: str = ""
    """Where messages can be sent to the user for half an hour."""
    files: tuple[tuple[str, str], ...] = ()
    """Id and name of each file that the chat's first message includes."""
    chat: str = ""
    """Id of the chat that the dialog changes."""

    def dump(self) -> str:
        """JSON of at most 3,000 characters; file names, then the response URL, are left out if they do not fit."""
        full = asdict(self) | {
            "files": [(id[:20], name[:60]) for id, name in self.files[:MAX_FILES]]
        }
        nameless = full | {"files": [(id, "") for id, _ in full["files"]]}
        forms = [json.dumps(form) for form in (full, nameless, nameless | {"response_url": ""})]
        return next((form for form in forms if len(form) <= MAX_METADATA_LENGTH), forms[-1])

    @classmethod
    def load(cls, text: str) -> DialogTarget:
        """Reads what `dump` wrote. Raises ValueError."""
        stored = json.loads(text or "{}")
        if not isinstance(stored, dict):
            raise ValueError("not a dialog's target")
        files = stored.get("files")
        pairs = (
            [pair for pair in files if isinstance(pair, list) and len(pair) == 2]
            if isinstance(files, list)
            else []
        )
        fields = {
            name: str(stored.get(name) or "")
            for name in ("channel", "thread", "response_url", "chat")
        }
        return cls(**fields, files=tuple((str(id), str(name)) for id, name in pairs))

    @property
    def shared_files(self) -> tuple[SharedFile, ...]:
        """The files by id and name; all other details are requested when they are downloaded."""
        return tuple(SharedFile(id, name) for id, name in self.files)


def dialog(
    target: DialogTarget,
    preselected: Preselection = NOTHING_PRESELECTED,
    *,
    text: str = "",
    about: str = "",
    existing_chat: tuple[str, str] | None = None,
    offered: OfferedOptions = NOTHING_OFFERED,
) -> View:
    """The modal that asks for a model and a first message.

    `about`: a message that the dialog quotes above the empty field. `existing_chat`: title and model of the chat in the
    target's thread; the dialog then asks for a message only. `offered`: the options it asks for beside the model.
    """
    if existing_chat is None:
        submit, inputs = strings.DIALOG_START, _new_chat_inputs(target, preselected, offered, text)
    else:
        submit, inputs = strings.DIALOG_ASK, _existing_chat_inputs(*existing_chat, text)
    title = strings.DIALOG_TITLE_ABOUT if about else strings.DIALOG_TITLE
    return {
        "type": "modal",
        "callback_id": NEW_CHAT_ACTION,
        "title": plain_text(title, 24),
        "submit": plain_text(submit, 24),
        "close": plain_text(strings.DIALOG_CANCEL, 24),
        "private_metadata": target.dump(),
        "blocks": [*_quotation(about), *inputs, *_included_files(target)],
    }


def _new_chat_inputs(
    target: DialogTarget, preselected: Preselection, offered: OfferedOptions, text: str
) -> list[Block]:
    return [
        _model_input(preselected.model),
        *model_options.inputs(offered, preselected.options),
        _text_input(strings.DIALOG_MESSAGE, text),
        context(_target_hint(target)),
    ]


def _existing_chat_inputs(title: str, model: str, text: str) -> list[Block]:
    title, model = (mrkdwn_escape(plain(name, 150)) for name in (title, model))
    hint = strings.DIALOG_IN_CHAT.format(title=title, model=model)
    return [_text_input(strings.DIALOG_MESSAGE_MORE, text), context(hint)]


def _included_files(target: DialogTarget) -> list[Block]:
    if not target.files:
        return []
    names = _file_names(target.shared_files)
    return [context(strings.DIALOG_FILES.format(names=names))]


def _text_input(label: str, text: str) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": DIALOG_TEXT_ACTION,
        "multiline": True,
        "max_length": MAX_TEXT_LENGTH,
        "focus_on_load": True,
        "placeholder": plain_text(strings.DIALOG_PLACEHOLDER, 150),
    }
    if text:
        fits = len(text) <= MAX_TEXT_LENGTH
        element["initial_value"] = text if fits else f"{text[: MAX_TEXT_LENGTH - 1]}…"
    return {
        "type": "input",
        "block_id": TEXT_BLOCK,
        "label": plain_text(label, 150),
        "element": element,
    }


def _model_input(preselected: ModelInfo | None) -> Block:
    return {
        "type": "input",
        "block_id": MODEL_BLOCK,
        "label": plain_text(strings.DIALOG_MODEL, 150),
        "element": model_select(DIALOG_MODEL_ACTION, preselected),
    }


def _target_hint(target: DialogTarget) -> str:
    # A direct message between two other people also starts with D; the bot cannot write there either.
    if not target.channel or is_direct(target.channel):
        return strings.DIALOG_IN_DIRECT
    if target.thread:
        return strings.DIALOG_IN_THREAD
    return strings.DIALOG_IN_CHANNEL.format(channel=target.channel)


def _file_names(files: Sequence[SharedFile]) -> str:
    return mrkdwn_escape(plain(join_names([short_name(file.name) for file in files]), 900))


def _quotation(message: str) -> list[Block]:
    """The block that quotes a message. It is returned with the submission, so it contains the quoted text unchanged."""
    message = message.strip()
    if not message:
        return []
    fits = len(message) <= MAX_QUOTE_LENGTH
    kept = message if fits else f"{message[: MAX_QUOTE_LENGTH - 1].rstrip()}…"
    text = {"type": "text", "text": kept}
    quotation = {"type": "rich_text_quote", "elements": [text]}
    return [{"type": "rich_text", "block_id": QUOTE_BLOCK, "elements": [quotation]}]


def quoted_message(blocks: Sequence[Block]) -> str:
    """The message quoted by a dialog's blocks; empty if there is none."""
    return "".join(
        str(element.get("text") or "")
        for block in blocks
        if block.get("block_id") == QUOTE_BLOCK
        for part in block.get("elements") or ()
        for element in part.get("elements") or ()
    )


def with_quote(question: str, message: str) -> str:
    """A question below the message that it is about, as Markdown."""
    lines = "\n".join(f"> {line}".rstrip() for line in message.splitlines())
    return f"{lines}\n\n{question}" if lines else question


# -- what was asked in a dialog, as a message ----------------------------------------------------------------------


def dialog_question(request: ChatRequest, note: str = "") -> list[Block]:
    """The asker, and the question. Nothing in it pings; the stored chat also has the part that does not fit."""
    first, *rest = _escaped_sections(request.text or "")
    heading = strings.ASKED.format(user=request.user)
    blocks = [section(f"{heading}\n{first}"), *map(section, rest)]
    blocks[0]["block_id"] = question_block_id(request.id)
    if request.files:
        blocks.append(context(strings.ASKED_WITH.format(names=_file_names(request.files))))
    return [*blocks, context(note)] if note else blocks


def question_block_id(request_id: str) -> str:
    """The id of the block that identifies the message for a dialog's request."""
    return f"bobbin.asked.{request_id}"


def _escaped_sections(text: str) -> list[str]:
    """The text, escaped and cut into pieces that fit one section each; at least one piece."""
    pieces = [""]
    for character in text:
        escaped = mrkdwn_escape(character)
        if len(pieces[-1]) + len(escaped) > MAX_SECTION_LENGTH - 50:
            if len(pieces) == MAX_SECTIONS:
                pieces[-1] += "…"
                break
            pieces.append("")
        pieces[-1] += escaped
    return [piece if piece.strip() else "…" for piece in pieces]

"""The dialog in which a person gives a chat another title. Pure."""

from __future__ import annotations

from typing import Any

from bot import sentences, strings
from bot.domain import Chat
from handlers.markdown.plain_text import plain
from handlers.views.blocks import View, plain_text
from handlers.views.modals import DialogTarget

RENAME_DIALOG = "rename_chat"
TITLE_BLOCK = "bobbin.title"
TITLE_ACTION = "title"
MAX_TITLE_LENGTH = 150


def dialog(chat: Chat, channel: str) -> View:
    """The modal with the current title in it. `channel`: where the chat's header is."""
    return {
        "type": "modal",
        "callback_id": RENAME_DIALOG,
        "private_metadata": DialogTarget(channel, chat=chat.id).dump(),
        "title": plain_text(strings.RENAME_TITLE, 24),
        "submit": plain_text(strings.RENAME_SAVE, 24),
        "close": plain_text(strings.DIALOG_CANCEL, 24),
        "blocks": [
            {
                "type": "input",
                "block_id": TITLE_BLOCK,
                "label": plain_text(strings.RENAME_LABEL, 150),
                "element": {
                    "type": "plain_text_input",
                    "action_id": TITLE_ACTION,
                    "max_length": MAX_TITLE_LENGTH,
                    "initial_value": shown_title(chat),
                },
            }
        ],
    }


def shown_title(chat: Chat) -> str:
    """The initial title of the dialog; submitting it unchanged changes nothing."""
    return plain(sentences.title(chat), MAX_TITLE_LENGTH)


def submission(body: dict[str, Any]) -> tuple[str, str]:
    """The chat's id and the new title, in one line."""
    view = body["view"]
    values = (view.get("state") or {}).get("values") or {}
    metadata = view.get("private_metadata") or ""
    given = ((values.get(TITLE_BLOCK) or {}).get(TITLE_ACTION) or {}).get("value") or ""
    return _chat_of(metadata), " ".join(given.split())[:MAX_TITLE_LENGTH]


def _chat_of(metadata: str) -> str:
    try:
        return DialogTarget.load(metadata).chat
    except ValueError:  # a dialog opened by an older version: the id alone
        return metadata

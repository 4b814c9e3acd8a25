"""The header of a chat, its menu, and the dialog that renames the chat."""

from __future__ import annotations

NEW_CONVERSATION = "New conversation"
HEADER_SEARCHES = "searches the web"
HEADER_EFFORT = {
    "low": "low reasoning effort",
    "medium": "medium reasoning effort",
    "high": "high reasoning effort",
}
HEADER_INSTRUCTIONS = "with this channel's instructions"
HEADER_STARTED_BY = "started by <@{user}>"
HEADER_ALWAYS = (
    "You always use this model. To use another one once, start with *New chat* "
    "(Home tab or shortcuts menu)."
)
RENAME_BUTTON = "Rename"
RENAME_TITLE = "Rename this chat"
RENAME_LABEL = "Title"
RENAME_SAVE = "Save"
RENAME_EMPTY = "Write a title."
HEADER_MENU_UNKNOWN = "I don't know this chat any more."

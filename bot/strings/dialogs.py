"""The dialogs that start a chat, and where the chat then appears."""

from __future__ import annotations

DIALOG_TITLE = "New chat"
DIALOG_TITLE_ABOUT = "Ask Bobbin about this"
DIALOG_START = "Start"
DIALOG_ASK = "Ask"
DIALOG_CANCEL = "Cancel"
DIALOG_MODEL = "Model"
DIALOG_MESSAGE = "First message"
DIALOG_MESSAGE_MORE = "Message"
DIALOG_PLACEHOLDER = "What would you like to ask?"
DIALOG_IN_CHANNEL = (
    "The chat starts in <#{channel}> (or in our direct messages, if I'm not in that channel)."
)
DIALOG_IN_THREAD = (
    "The chat starts in this message's thread "
    "(or in our direct messages, if I'm not in that channel)."
)
DIALOG_IN_DIRECT = "The chat starts in our direct messages."
DIALOG_IN_CHAT = "Your message goes to the chat *{title}* in this thread, with {model}."
DIALOG_FILES = "Included files: {names}."
DIALOG_NO_TEXT = "Write what you would like to ask."
DIALOG_TOO_LONG = (
    "At most {most:,} characters fit here; these are {count:,}. More can follow in the thread."
)
DIALOG_NO_MODEL = "Choose a model."
DIALOG_NOT_OPENED = "Slack didn't let me open the dialog this time. Please try again."
ASKED = "<@{user}> asks:"
ASKED_WITH = "With {names}"
STARTED_IN_DIRECT_MESSAGES = "{reason}, so we talk here."
LINK_TO_DIRECT_MESSAGES = "{reason}, so your chat is <{link}|in our direct messages>."
OTHER_PLACE_REASONS: dict[str, str] = {
    "not_in_channel": "I'm not in <#{channel}>",
    "is_archived": "<#{channel}> has been archived",
    "restricted_action": "I'm not allowed to write in <#{channel}>",
    "direct": "I'm not in that conversation",
    "": "I couldn't write in <#{channel}>",
}
"""Why a chat was started somewhere else than requested."""
CHAT_NOT_STARTED = "I couldn't start your chat here. Please try again in another place."

"""A chat as a file."""

from __future__ import annotations

EXPORT_HEADING = "# {title}\n\n{model} · started by {owner} · {began} · {count} messages\n\n"
EXPORT_CONTEXT = "## Before\n\n{text}\n\n"
EXPORT_ATTACHED = {"image": "_(Image: {name})_", "document": "_(Document: {name})_"}
EXPORT_FILE = "_(File that was not read: {name})_"
EXPORT_UNANSWERED = "_(No answer)_"
EXPORT_READY = "Here is the chat *{title}* as a file."
EXPORT_SENT = "I sent you the chat as a file, in our direct messages."
EXPORT_SENT_AS_TEXT = (
    "I sent you the chat in our direct messages, as text: to send files, I need the scope "
    "`files:write`, which an admin can add to the app."
)
EXPORT_AS_TEXT = "Here is the chat *{title}*:"
EXPORT_CUT = (
    "The chat is longer than what I can send as text. For the whole of it, ask an admin to add the scope "
    "`files:write` to the app, or get it through the API: `GET /chat/conversations/{id}/export`."
)
EXPORT_FAILED = "I couldn't send you the chat just now. Please try again in a moment."
EXPORT_BUTTON = "Export"

"""The list of chats that `/chats` shows, and its help."""

from __future__ import annotations

from bot.languages.texts import Plural

NEW_CHAT = "New chat"
PLACE = "<#{channel}>"
PLACE_DIRECT = "direct messages"
PLACE_API = "API"
MESSAGES = Plural("{count} message", "{count} messages")
AGE_NOW = "just now"
AGE_MINUTES = "{count} min ago"
AGE_HOURS = "{count} h ago"
AGE_DAYS = "{count} d ago"
CHATS_NONE = "You have no chats yet. Mention me in a channel or write to me directly to start one."
CHATS_NOT_FOUND = "None of your chats contains “{words}”."
CHATS_HEADING = "Your chats"
CHATS_FOUND = "Your chats with “{words}”"
CHATS_PAGE = "{first}–{last} of {total}"
CHATS_NEWER = "Newer"
CHATS_OLDER = "Older"
CHATS_REFRESH = "Refresh"
LIST_NOT_SHOWN = "I couldn't read your chats just now. Please try again in a moment."
LIST_NOT_UPDATED = "Slack didn't take the list just now. Please press the button again in a moment."
SEARCH_TOO_LONG = (
    "That search took too long, so I ended it. Please try other words, or page through all chats."
)
CHATS_FALLBACK = "Your chats"
CHATS_HELP = (
    "*What you can do*\n"
    "• Mention me in a channel, or write to me directly: a chat starts in that thread\n"
    "• `{command}` lists your chats, newest first\n"
    "• `{command} WORDS` finds chats by title and text\n"
    "• `{command} new` opens a dialog for a new chat, `{command} new TEXT` with your first message in it\n"
    "• `{command} token` gives you an API token and lists yours, `{command} token 30d` one that ends by itself; "
    "`{command} token revoke` ends them all\n"
    "• `{command} here` opens this channel's settings, for admins\n"
    "• `{command} usage` shows what you have used, today and this month\n"
    "• `{command} help` shows this"
)

"""Texts about full chats, and about chats that continue or branch off another one."""

from __future__ import annotations

CONTINUE_BUTTON = "Continue in a new chat"
CONTINUED_FROM = "Continued from <{link}|{title}>"
CONTINUED_FROM_API = "Continued from *{title}*"
CONTINUED_IN = "Continued in <{link}|a new chat>"
SUCCESSOR_FALLBACK = "A chat that comes from another one"
CONTINUING = "I'm summarising this chat. In a moment it goes on in a new thread."
CONTINUED_HERE = "This chat goes on in <{link}|a new thread>."
ASK_ANOTHER = "Ask another model"
BRANCH_OF = "{model} is asked here what <{link}|{title}> was asked:"
BRANCH_OF_API = "{model} is asked here what *{title}* was asked:"
BRANCHED_TO = "Also asked: {links}"
BRANCH_LINK = "<{link}|{model}>"
BRANCHING = "I'm asking {model} the same in a new thread."
BRANCHED_HERE = "{model} was asked the same in <{link}|a thread of its own>."
CHAT_FULL = "This chat is full: it has reached its {count} messages."

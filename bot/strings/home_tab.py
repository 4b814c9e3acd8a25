"""The Home tab."""

from __future__ import annotations

from bot.languages.texts import Plural

HOME_NOT_SHOWN = "I couldn't update my Home tab just now. Please open it again in a moment."
HOME_INTRO = (
    "Mention me in a channel, or write to me directly, to start a chat with a language model. "
    "Reply in its thread to go on."
)
HOME_MODEL = "*Your model*\nIt is preselected whenever you start a chat."
HOME_MODEL_GONE = "*Your model*\n{model} isn't offered any more. Please choose another one."
HOME_NO_MODELS = (
    "*Your model*\nNo models can be reached at the moment. Please look again in a minute."
)
HOME_ALWAYS = "Always use it"
HOME_ALWAYS_HINT = "Your questions are answered at once, without a menu"
HOME_SEARCH = "Find chats"
HOME_SEARCH_HINT = "Words from titles and texts, then Enter"
HOME_ALL = "Show all"
HOME_COUNT = Plural("{shown} chat", "{shown} chats")

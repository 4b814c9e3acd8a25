"""The menu in which a model is chosen, and the options beside it."""

from __future__ import annotations

MENU_PROMPT = "Which model should answer?"
MENU_ASKS = "What would you like to ask? Reply in this thread, and choose a model."
MENU_PLACEHOLDER = "Search all models"
MENU_MORE = " · {shown} of {total}: type to find the others"
"""Follows a provider's name in the menu when Slack has no room for all of its models."""
MENU_NO_MODELS = (
    "No models can be reached at the moment. "
    "Open the menu again in a minute; your question is kept until then."
)
MENU_FALLBACK = "Choose a model to start"
START_HINT = "I start as soon as you pick a model. Only <@{user}> can pick."
WAITING_FOR_TEXT = "What would you like to ask? Reply in this thread."
START_BUTTON = "Start with {model}"
CONTEXT_UNREAD = (
    "Slack didn't let me read what else was said in this thread, so I answer without it. "
    "Please repeat here what I should know."
)
WEB_SEARCH_LABEL = "Web search"
WEB_SEARCH = "Search the web"
REASONING_LABEL = "Reasoning effort"
EFFORT_OPTIONS = {
    "default": "Reasoning: default",
    "low": "Reasoning: low",
    "medium": "Reasoning: medium",
    "high": "Reasoning: high",
}
SUGGESTED_PROMPTS_TITLE = "What would you like to ask?"
SUGGESTED_PROMPTS = (
    ("Summarise a text", "Summarise the text that I paste next, in five bullet points."),
    ("Explain something", "Explain how a hash table works, with a small example in Python."),
    (
        "Draft a message",
        "Draft a friendly message that tells my team the release moves to Thursday.",
    ),
    (
        "Think it through",
        "Help me decide: ask me five questions, one at a time, then give me your advice.",
    ),
)
"""Title and message of the suggestions in an empty pane."""

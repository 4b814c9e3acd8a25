"""The dialog with a channel's own settings."""

from __future__ import annotations

CHANNEL_ONLY = "Only channels have settings of their own. Use this command in a channel."
CHANNEL_TITLE = "This channel's settings"
CHANNEL_SAVE = "Save"
CHANNEL_INSTRUCTIONS = "Instructions"
CHANNEL_INSTRUCTIONS_HINT = "What every model is told in chats that start here from now on."
CHANNEL_MODEL = "Default model"
CHANNEL_MODEL_HINT = "Preselected for people who have set no model of their own."
CHANNEL_NO_DEFAULT = "No default model"
CHANNEL_MENU = "Menu of models"
CHANNEL_SKIP_MENU = "Skip the menu here"
CHANNEL_TOOLS = "Tools that may be used"
CHANNEL_TOOLS_HINT = "None chosen: all that the operator allows. Changes apply at once, in chats that have started too."
CHANNEL_TOOLS_PLACEHOLDER = "Search for tools"
CHANNEL_ASKED_TOOLS = "Tools that ask first"
CHANNEL_ASKED_TOOLS_HINT = (
    "Besides those that always do: they wait until whoever asked the question allows the call."
)
CHANNEL_NO_TOOLS = "No tools"
CHANNEL_ALL_TOOLS = "{server}: all tools"
CHANNEL_HINT = (
    "Instructions and model are for new chats in <#{channel}>. Chats that have started keep theirs."
)
CHANNEL_SAVED = (
    "Saved. Chats that start in <#{channel}> from now on use these instructions and this model."
)

"""How chats and their answers behave."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from bot.config.group import SettingsGroup
from bot.config.values import Days, Valid, lower

DEFAULT_SYSTEM_PROMPT = (
    "You are Bobbin, a helpful assistant in a Slack thread. Several people may take part; when they do, each message "
    "begins with its author's name. Answer in the language of the latest message. Be accurate and to the point, and "
    "say so when you do not know. Write standard Markdown: short paragraphs, lists and tables where they help, and "
    "code in fenced blocks that name the language."
)


class StreamMode(StrEnum):
    """How an answer is shown in Slack while the model writes it."""

    AUTO = "auto"
    NATIVE = "native"
    EDIT = "edit"


class LongChatsMode(StrEnum):
    """What is sent of a chat that no longer fits the model's window."""

    SUMMARISE = "summarise"
    WHOLE = "whole"


class ReasoningMode(StrEnum):
    """What people see of a model's reasoning."""

    STATUS = "status"
    SHOWN = "shown"
    OFF = "off"


class SearchMode(StrEnum):
    """Whether providers that can search the web do so."""

    OFF = "off"
    ASK = "ask"
    ALWAYS = "always"


class ChatSettings(SettingsGroup):
    """What a chat contains and sends, and how its answers are shown."""

    bobbin_system_prompt: str = Field(
        DEFAULT_SYSTEM_PROMPT,
        description="the fixed instruction sent first with every request; a sensible default",
    )
    bobbin_max_messages: Annotated[int, Valid("a whole number, 2 or more")] = Field(
        100, ge=2, description="messages a chat may hold, those of people and of the model together"
    )
    bobbin_stream: Annotated[StreamMode, BeforeValidator(lower), Valid("auto, native or edit")] = (
        Field(
            StreamMode.AUTO,
            description="`native` streams as Slack's own AI apps do, visible live to the asker alone; `edit` edits the "
            "message, visible live to all; `auto` begins native and edits once a second person takes part or native "
            "fails",
        )
    )
    bobbin_reasoning: Annotated[
        ReasoningMode, BeforeValidator(lower), Valid("status, shown or off")
    ] = Field(
        ReasoningMode.STATUS,
        description="what people see of a model's reasoning: `status` how long it takes; `shown` also what the "
        "model lets see of it, in a step that opens; `off` nothing",
    )
    bobbin_web_search: Annotated[
        SearchMode, BeforeValidator(lower), Valid("off, ask or always")
    ] = Field(
        SearchMode.OFF,
        description="whether providers that search the web themselves (OpenRouter, Venice) do: `off`; `ask` if it is "
        "ticked where the model is chosen; `always`",
    )
    bobbin_long_chats: Annotated[
        LongChatsMode, BeforeValidator(lower), Valid("summarise or whole")
    ] = Field(
        LongChatsMode.SUMMARISE,
        description="when a chat no longer fits the model's window: `summarise` sends a stored summary in place of its "
        "middle; `whole` replaces nothing, and the person is told and offered a way on",
    )
    bobbin_keep: Annotated[Days | None, Valid("a number of days such as 365d")] = Field(
        None,
        description="`365d`: chats not used for so long are removed with all that belongs to them, every night by one "
        "replica; unset: for ever",
    )

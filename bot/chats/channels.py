"""The use cases of a channel's settings, which admins change with `/chats here`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot import audit
from bot.audit import Action
from bot.chats.models import ModelChoice
from bot.domain import User
from bot.domain.tool_calls import ChannelTools, Tool
from storage.channel_settings import ChannelSettings, ChannelSettingsStore

MAX_INSTRUCTIONS = 3_000
"""Characters; Slack allows no more in one field."""


class Tools(Protocol):
    """What the settings need from `bot.tools.lazy_servers`."""

    @property
    def tools(self) -> Mapping[str, Tool]: ...


class ChannelService:
    """The use cases of channel settings. All raise StorageError when the database fails. The caller has checked that
    the user is an admin.
    """

    def __init__(
        self, store: ChannelSettingsStore, models: ModelChoice, tools: Tools, *, has_tools: bool
    ) -> None:
        """`has_tools`: whether the operator has configured tool servers, connected or not."""
        self._store = store
        self._models = models
        self._tools = tools
        self.has_tools = has_tools

    def tools(self, words: str) -> list[Tool]:
        """The tools whose paths contain these words, by path, without those that the operator denies."""
        wanted = words.lower().split()
        found = (t for t in self._tools.tools.values() if all(w in t.path.lower() for w in wanted))
        return sorted(found, key=lambda tool: tool.path)

    async def get(self, team: str, channel: str) -> ChannelSettings:
        return await self._store.get(team, channel)

    async def change(
        self,
        user: User,
        channel: str,
        *,
        instructions: str,
        key: str | None,
        skip_menu: bool,
        tools: ChannelTools | None,
    ) -> None:
        """`key`: the default model; None for none. `tools`: None leaves them unchanged. Raises ModelNotAllowed."""
        model = None if key is None else self._models.by_key(key).ref
        if tools is None:
            tools = (await self._store.get(user.team, channel)).tools
        settings = ChannelSettings(instructions[:MAX_INSTRUCTIONS], model, skip_menu, tools)
        await self._store.set(user.team, channel, settings, by=user.id)
        rules = {"tools": " ".join(tools.use), "asked": " ".join(tools.ask)}
        changed = {name: text for name, text in rules.items() if text}
        audit.record_by(user, Action.CHANNEL_SETTINGS_CHANGED, target=channel, **changed)

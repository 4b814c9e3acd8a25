"""The use cases of a channel's own settings, which admins change with `/chats here`."""

from __future__ import annotations

from bot import audit
from bot.audit import Action
from bot.chats.models import ModelChoice
from bot.domain import User
from storage.channel_settings import ChannelSettings, ChannelSettingsStore

MAX_INSTRUCTIONS = 3_000
"""Characters; Slack allows no more in one field."""


class ChannelService:
    """All raise StorageError when the database fails. The caller has checked that the user is an admin."""

    def __init__(self, store: ChannelSettingsStore, models: ModelChoice) -> None:
        self._store = store
        self._models = models

    async def get(self, team: str, channel: str) -> ChannelSettings:
        return await self._store.get(team, channel)

    async def change(
        self, user: User, channel: str, *, instructions: str, key: str | None, skip_menu: bool
    ) -> None:
        """`key`: of the default model; None for none. Raises ModelNotAllowed."""
        model = None if key is None else self._models.by_key(key).ref
        settings = ChannelSettings(instructions[:MAX_INSTRUCTIONS], model, skip_menu)
        await self._store.set(user.team, channel, settings, by=user.id)
        audit.record_by(user, Action.CHANNEL_SETTINGS_CHANGED, target=channel)

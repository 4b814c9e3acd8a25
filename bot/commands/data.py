"""The work of the commands `export` and `erase`, which read or remove data about people and chats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from bot import audit
from bot.chats.export import Exporter, ExportFormat
from bot.chats.retention import Eraser
from bot.config.settings import Settings
from bot.domain import ModelRef, User
from bot.errors import ChatNotFound, SettingsError
from storage.chats import Chats
from storage.engine.database import Database
from storage.erasure import Erasure, Selection
from storage.people import People
from storage.personal_data import PersonalData
from storage.transcripts import Transcripts


@dataclass(frozen=True)
class Removed:
    """What was removed, or would be: rows by table."""

    rows: dict[str, int]
    done: bool


def person(text: str) -> User:
    """Parses `T0123/U0123`. Raises SettingsError."""
    team, slash, user = text.partition("/")
    if not (team and slash and user) or "/" in user:
        raise SettingsError(
            f"--user {text} must name the workspace and the person by their Slack ids: T0123ABC/U0123ABC"
        )
    return User(team, user)


def moment(text: str) -> datetime:
    """Parses a day in UTC, `2026-01-31`, as its beginning. Raises SettingsError."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise SettingsError(f"--before {text} must be a day such as 2026-01-31") from None


async def export(
    settings: Settings, *, user: User | None, chat: str | None, form: ExportFormat, file: IO[str]
) -> None:
    """Writes one chat, or all chats of a person, to the file. Raises SettingsError for a chat that does not exist."""
    async with _open(settings) as database:
        exporter = Exporter(Transcripts(database), People(database), PersonalData(database), _label)
        if user is not None:
            pieces = exporter.person(user, form)
            audit.record(audit.Action.EXPORTED, team=user.team, target=user.id, format=form.value)
        else:
            try:
                found = await Chats(database).get(chat or "")
            except ChatNotFound:
                raise SettingsError(f"--chat {chat} is not the id of a chat") from None
            pieces = exporter.chat(found, form)
            audit.record(audit.Action.EXPORTED, team=found.team, target=found.id, format=form.value)
        async for piece in pieces:
            file.write(piece)


async def erase(settings: Settings, selection: Selection, *, really: bool) -> Removed:
    """Removes what the selection covers; unless `really`, only counts it."""
    async with _open(settings) as database:
        erasure = Erasure(database)
        rows = await erasure.count(selection)
        if really:
            await Eraser(erasure).erase(selection)
    return Removed({name: count for name, count in rows.items() if count}, really)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Database]:
    database = Database.open(settings.database())
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


def _label(model: ModelRef) -> str:
    return model.name

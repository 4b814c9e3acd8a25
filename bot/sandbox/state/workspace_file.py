"""Stores a workspace in an SQLite file, so that a sandbox continues where it was, even after a kill.

Each record is one row, written as soon as the event loop has made the change that it belongs to. It contains channels,
messages in their current form, scheduled messages, shared files, threads, Home tabs, suggested prompts, people's
languages, the app's credentials, and the events that the app has not acknowledged yet, which are redelivered as in
Slack. It does not contain what exists only in an open page: modals, and messages that only one person sees.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter

from bot.sandbox.errors import WorkspaceFileError
from bot.sandbox.journal import CallRecord, Delivery, Journal
from bot.sandbox.state.identity import AppIdentity, new_identity
from bot.sandbox.state.records import (
    Channel,
    File,
    Message,
    Revision,
    ScheduledMessage,
    Thread,
    View,
)
from bot.sandbox.state.workspace import Change, Workspace
from bot.sandbox.types import Json

Record = TypeVar("Record")
Key = tuple[str, str]
"""A record's kind and its key among those of that kind."""

_FORMAT = 1
"""The file's `user_version`."""
_IDS_PER_OPENING = 1_000_000
"""Ids reserved for one opening of the file: the next one begins after them, so that none is issued twice."""


class WorkspaceFile:
    """The file of one workspace, open in one sandbox only: `restore` it once, then `follow` its changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._unsaved: dict[Key, Callable[[], bytes | None]] = {}
        self._adapters: dict[type, TypeAdapter[Any]] = {}
        self.is_new = True
        """Whether nothing was kept there."""

    @classmethod
    def open(cls, path: Path, *, fresh: bool = False) -> Self:
        """Opens or creates the file; `fresh` empties it, except for the app's credentials.

        Raises WorkspaceFileError when another sandbox has it open, or when it is not such a file.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise WorkspaceFileError(
                f"{path} cannot be opened ({reason}): let your user write there, or choose another file with --data"
            ) from None
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")  # survives a kill of the process
            _create(connection, fresh)
        except sqlite3.DatabaseError as error:
            connection.close()
            if "locked" in str(error):
                raise WorkspaceFileError(
                    f"another sandbox is running with {path}: stop it, or choose another file with --data"
                ) from None
            raise WorkspaceFileError(
                f"{path} is not a sandbox's workspace ({error}): remove it, or choose another file with --data"
            ) from None
        return cls(connection)

    def close(self) -> None:
        """Saves what is not saved yet, and lets another sandbox open the file."""
        self._save()
        self._connection.close()

    # -- reading

    def identity(self, bot_name: str) -> AppIdentity:
        """The app's credentials and its id, if that is known in the workspace; those of a new app if none are
        stored.
        """
        new = new_identity(bot_name)
        kept = next(self._read("identity", AppIdentity), new)
        known = any(True for _ in self._read("channel", Channel))
        return kept if known else replace(kept, user_id=new.user_id)

    def restore(self, workspace: Workspace, identity: AppIdentity) -> None:
        """Puts everything that was stored into a workspace that has its users and default channels.

        Stores `identity`, by which the app in that workspace is known.
        """
        self._write([(("identity", ""), self._adapter(AppIdentity).dump_json(identity))])
        for channel in self._read("channel", Channel):
            workspace.channels[channel.id] = channel
            self.is_new = False
        for message in sorted(self._read("message", Message), key=lambda each: each.ts):
            workspace.channels[message.channel].messages[message.ts] = message
        workspace.files |= {file.id: file for file in self._read("file", File)}
        workspace.threads |= {
            (thread.channel, thread.thread_ts): thread for thread in self._read("thread", Thread)
        }
        for home in self._read("home", View):
            workspace.homes[home.user] = workspace.views[home.id] = home
        for scheduled in self._read("scheduled", ScheduledMessage):
            workspace.scheduled[scheduled.id] = scheduled
        for shown in self._read("prompts", dict):
            workspace.prompts[shown["channel"], shown["thread_ts"]] = shown["prompts"]
        for chosen in self._read("locale", dict):
            if chosen["user"] in workspace.users:
                workspace.users[chosen["user"]].locale = chosen["locale"]
        workspace.begin_ids_at(self._count_opening() * _IDS_PER_OPENING + 1)

    def undelivered(self) -> list[tuple[str, Json]]:
        """Name and envelope of the events that the app had not acknowledged, oldest first."""
        kept = sorted(self._read("event", dict), key=lambda each: (each["created"], each["id"]))
        self._connection.execute("DELETE FROM records WHERE kind = 'event'")
        return [(each["name"], each["payload"]) for each in kept]

    def _read(self, name: str, kind: type[Record]) -> Iterator[Record]:
        rows = self._connection.execute("SELECT value FROM records WHERE kind = ?", (name,))
        return (self._adapter(kind).validate_json(value) for (value,) in rows.fetchall())

    def _adapter(self, kind: type[Any]) -> TypeAdapter[Any]:
        """Reads and writes records of a class; created when it is first needed."""
        if kind not in self._adapters:
            self._adapters[kind] = TypeAdapter(kind)
        return self._adapters[kind]

    def _count_opening(self) -> int:
        """How many times the file had been opened before."""
        found = next(self._read("openings", dict), {"count": 0})
        count = int(found["count"])
        self._write([(("openings", ""), json.dumps({"count": count + 1}).encode())])
        return count

    # -- writing

    def follow(self, workspace: Workspace, journal: Journal) -> None:
        """Saves every change from now on and, in a new file, everything that already exists."""
        if self.is_new:
            for channel in workspace.channels.values():
                self._mark_channel(channel)
        workspace.subscribe(lambda change: self._on_change(workspace, change))
        journal.listeners.append(self._on_journal)

    def _on_change(self, workspace: Workspace, change: Change) -> None:
        if change.message is not None:
            self._mark_message(workspace, change.message)
        elif isinstance(thread := change.data.get("thread"), Thread):
            key = f"{thread.channel} {thread.thread_ts}"
            self._mark("thread", key, lambda: self._adapter(Thread).dump_json(thread))
        elif change.kind == "home" and change.user is not None:
            home = workspace.homes[change.user]
            self._mark("home", change.user, lambda: self._adapter(View).dump_json(home))
        elif isinstance(scheduled := change.data.get("scheduled"), ScheduledMessage):
            self._mark_scheduled(workspace, scheduled)
        elif change.kind == "locale" and change.user is not None:
            chosen = {"user": change.user, "locale": workspace.users[change.user].locale}
            self._mark("locale", change.user, lambda: json.dumps(chosen).encode())
        elif change.kind == "prompts":
            self._mark_prompts(workspace, change.channel, change.data["thread_ts"])
        if change.channel in workspace.channels:
            self._mark_channel(workspace.channels[change.channel])

    def _on_journal(self, entry: CallRecord | Delivery) -> None:
        if isinstance(entry, Delivery) and entry.kind == "events_api":
            self._mark("event", f"{entry.created:.6f} {entry.id}", lambda: _event(entry))

    def _mark_message(self, workspace: Workspace, message: Message) -> None:
        channel = workspace.channels[message.channel]
        self._mark(
            "message",
            f"{message.channel} {message.ts}",
            lambda: self._dump_message(message) if message.ts in channel.messages else None,
        )
        for file_id in message.files:
            self._mark(
                "file", file_id, partial(self._adapter(File).dump_json, workspace.files[file_id])
            )
        root = channel.messages.get(message.thread_ts or message.ts)
        if root is not None and root is not message:
            key = f"{root.channel} {root.ts}"
            self._mark("message", key, lambda: self._dump_message(root))

    def _dump_message(self, message: Message) -> bytes:
        """A message in its current form; earlier states are not stored."""
        now = message.latest
        shown = Revision(now.format, [now.text], now.marks[-1:], now.blocks, now.fallback)
        return self._adapter(Message).dump_json(replace(message, revisions=[shown]))

    def _mark_channel(self, channel: Channel) -> None:
        self._mark(
            "channel",
            channel.id,
            lambda: self._adapter(Channel).dump_json(replace(channel, messages={}, deleted=[])),
        )

    def _mark_scheduled(self, workspace: Workspace, scheduled: ScheduledMessage) -> None:
        dump = partial(self._adapter(ScheduledMessage).dump_json, scheduled)
        self._mark(
            "scheduled",
            scheduled.id,
            lambda: dump() if scheduled.id in workspace.scheduled else None,
        )

    def _mark_prompts(self, workspace: Workspace, channel: str, root: str | None) -> None:
        shown = {
            "channel": channel,
            "thread_ts": root,
            "prompts": workspace.prompts[channel, root],
        }
        self._mark("prompts", f"{channel} {root}", lambda: json.dumps(shown).encode())

    def _mark(self, kind: str, key: str, dump: Callable[[], bytes | None]) -> None:
        if not self._unsaved:
            asyncio.get_running_loop().call_soon(self._save)
        self._unsaved[kind, key] = dump

    def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, {}
        if unsaved:
            self._write([(key, dump()) for key, dump in unsaved.items()])

    def _write(self, records: list[tuple[Key, bytes | None]]) -> None:
        kept = [(*key, value) for key, value in records if value is not None]
        gone = [key for key, value in records if value is None]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany("REPLACE INTO records VALUES (?, ?, ?)", kept)
            self._connection.executemany("DELETE FROM records WHERE kind = ? AND key = ?", gone)


def _create(connection: sqlite3.Connection, fresh: bool) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > _FORMAT:
        raise sqlite3.DatabaseError("a newer version has written it")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS records"
        " (kind TEXT, key TEXT, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID"
    )
    if fresh:
        connection.execute("DELETE FROM records WHERE kind <> 'identity'")
    connection.execute(f"PRAGMA user_version = {_FORMAT}")
    connection.execute("COMMIT")


def _event(delivery: Delivery) -> bytes | None:
    if delivery.acked or delivery.gave_up:
        return None
    kept = {
        "id": delivery.id,
        "created": delivery.created,
        "name": delivery.name,
        "payload": delivery.payload,
    }
    return json.dumps(kept).encode()

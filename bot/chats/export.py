"""Writes whole chats piece by piece, as Markdown or JSON: only a few messages are in memory at a time."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot import sentences, strings
from bot.chats.step_texts import step_title
from bot.domain import (
    AttachmentKind,
    Chat,
    Image,
    Message,
    ModelRef,
    Role,
    Source,
    Status,
    User,
)
from bot.domain.steps import Step, StepKind
from bot.domain.tool_calls import StoredCall
from storage.people import People
from storage.personal_data import SECTIONS, PersonalData
from storage.transcripts import Transcripts

_PIECE = 48_000
"""Bytes of an attachment that are encoded at a time; a multiple of three, so that the pieces join."""
_MEMBERS = {AttachmentKind.IMAGE: "images", AttachmentKind.DOCUMENT: "files"}
"""Where a message's attachments go in its JSON."""


class ExportFormat(StrEnum):
    MARKDOWN = "markdown"
    JSON = "json"

    @property
    def media_type(self) -> str:
        return "text/markdown; charset=utf-8" if self is self.MARKDOWN else "application/json"

    @property
    def suffix(self) -> str:
        return "md" if self is self.MARKDOWN else "json"


class Exporter:
    """Reads chats and writes them. All raise StorageError when the database fails."""

    def __init__(
        self,
        transcripts: Transcripts,
        people: People,
        personal: PersonalData,
        label: Callable[[ModelRef], str],
    ) -> None:
        """`label`: the model's name as people see it."""
        self._personal = personal
        self._transcripts = transcripts
        self._people = people
        self._label = label

    async def chat(self, chat: Chat, form: ExportFormat) -> AsyncIterator[str]:
        """One chat."""
        pieces = self._markdown(chat) if form is ExportFormat.MARKDOWN else self._json(chat)
        async for piece in pieces:
            yield piece

    async def person(self, user: User, form: ExportFormat) -> AsyncIterator[str]:
        """All chats that a person started or took part in, and everything else stored about them."""
        if form is ExportFormat.MARKDOWN:
            async for chat in self._transcripts.chats_of(user):
                async for piece in self._markdown(chat):
                    yield piece
                yield "\n---\n\n"
            return
        profile = await self._people.get(user)
        yield f'{{"person": {_json(_profile(user, profile.name, profile.default_model))}'
        for name in SECTIONS:
            rows = await self._personal.section(user, name)
            yield f',\n"{name}": {_json([_record(row) for row in rows])}'
        yield ',\n"chats": ['
        separator = "\n"
        async for chat in self._transcripts.chats_of(user):
            yield separator
            separator = ",\n"
            async for piece in self._json(chat):
                yield piece
        yield "]}\n"

    # -- Markdown ----------------------------------------------------------------------------------------------

    async def _markdown(self, chat: Chat) -> AsyncIterator[str]:
        names = _Names(self._people, chat)
        model = self._label(chat.model)
        asked = ", ".join([_one_line(model), *sentences.chosen(chat.options)])
        yield strings.EXPORT_HEADING.format(
            title=_one_line(sentences.title(chat)),
            model=asked,
            owner=await names.of(chat.owner),
            began=_shown(chat.created_at),
            count=chat.message_count,
        )
        if chat.thread_context:
            yield strings.EXPORT_CONTEXT.format(text=chat.thread_context)
        async for message in self._transcripts.messages(chat.id):
            author = await names.of_author(message) if message.role is Role.USER else model
            yield _markdown_message(message, author)

    # -- JSON --------------------------------------------------------------------------------------------------

    async def _json(self, chat: Chat) -> AsyncIterator[str]:
        yield f'{{"conversation": {_json(_chat(chat))}, "messages": ['
        separator = "\n"
        async for message in self._transcripts.messages(chat.id):
            yield separator + _json(_message(message))[:-1]
            separator = ",\n"
            if any(step.kind is StepKind.TOOL for step in message.steps):
                calls = await self._transcripts.calls(message.id)
                yield f', "calls": {_json([_call(call) for call in calls])}'
            async for piece in self._json_attachments(message):
                yield piece
            yield "}"
        yield "]}\n"

    async def _json_attachments(self, message: Message) -> AsyncIterator[str]:
        """The lists of its attachments, as further members of the message."""
        for kind, member in _MEMBERS.items():
            separator = f', "{member}": ['
            for attachment in message.omitted_images:
                if attachment.kind is kind and (read := await self._transcripts.read(attachment)):
                    for piece in _json_attachment(read):
                        yield separator + piece
                        separator = ""
                    separator = ", "
            if separator == ", ":
                yield "]"


def _json_attachment(read: Image) -> Iterator[str]:
    yield _json({"name": read.name, "type": read.mime})[:-1] + ', "data": "'
    for at in range(0, len(read.data), _PIECE):
        yield base64.b64encode(read.data[at : at + _PIECE]).decode()
    yield '"}'


class _Names:
    """The names of a chat's people, if they are stored."""

    def __init__(self, people: People, chat: Chat) -> None:
        self._people = people
        self._team = chat.team
        self._known: dict[str, str] = {}

    async def of_author(self, message: Message) -> str:
        return message.author_name or await self.of(message.author or "")

    async def of(self, user: str) -> str:
        if user not in self._known:
            profile = await self._people.get(User(self._team, user))
            self._known[user] = _one_line(profile.name or user)
        return self._known[user]


def file_name(chat: Chat, form: ExportFormat) -> str:
    """A file name based on the chat's title, valid on every file system."""
    title = re.sub(r"[^\w -]+", "", sentences.title(chat)).strip()[:60] or "chat"
    return f"{title}.{form.suffix}"


def _markdown_message(message: Message, author: str) -> str:
    notes = [
        strings.EXPORT_ATTACHED[each.kind].format(name=_one_line(each.name))
        for each in message.omitted_images
    ]
    notes += [f"_{_one_line(step_title(step))}_" for step in message.steps]
    notes += [strings.EXPORT_FILE.format(name=_one_line(file.name)) for file in message.files]
    notes += [f"{number}. <{source.url}> {source.title}" for number, source in _sources(message)]
    if message.status not in (Status.DONE, Status.STOPPED):
        notes.append(strings.EXPORT_UNANSWERED)
    body = "\n\n".join(part for part in (message.text, *notes) if part)
    return f"## {_one_line(author)}, {_shown(message.created_at)}\n\n{body}\n\n"


def _sources(message: Message) -> list[tuple[int, Source]]:
    return list(enumerate(message.sources, 1))


def _chat(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "title": chat.title,
        "model": str(chat.model),
        "search": chat.options.web_search,
        "reasoning": chat.options.effort,
        "createdAt": _time(chat.created_at),
        "updatedAt": _time(chat.updated_at),
        "messageCount": chat.message_count,
        "owner": chat.owner,
        "context": chat.thread_context,
        "continues": chat.continues,
    }


def _message(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "role": message.role.value,
        "author": message.author,
        "content": message.text,
        "status": message.status.value,
        "createdAt": _time(message.created_at),
        "sources": [{"title": each.title, "url": each.url} for each in message.sources],
        "steps": [_step(step) for step in message.steps],
        "unreadFiles": [file.name for file in message.files],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind.value,
        "name": step.name,
        "status": step.status.value,
        "seconds": step.seconds,
    }


def _call(call: StoredCall) -> dict[str, Any]:
    return {
        "tool": call.path,
        "arguments": call.call.arguments,
        "status": call.state.value,
        "result": call.result,
        "asker": call.asker,
        "decidedBy": call.decided_by,
    }


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stored row, with times and names in the format of the rest of the export."""
    return {
        _camel(name): _time(value) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _profile(user: User, name: str | None, model: ModelRef | None) -> dict[str, Any]:
    default = str(model) if model else None
    return {"team": user.team, "id": user.id, "name": name, "defaultModel": default}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _one_line(text: str) -> str:
    return " ".join(text.split())

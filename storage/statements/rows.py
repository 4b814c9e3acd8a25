"""Converts between database rows and the domain's frozen values; rows never leave storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Select, select

from bot.domain import (
    DEFAULT_TITLE,
    Answer,
    AnswerResult,
    Attachment,
    Chat,
    Image,
    Message,
    MessageRef,
    ModelRef,
    NearBudget,
    PromptFacts,
    Role,
    SharedFile,
    Source,
    Status,
    Thread,
    TitleBy,
    Usage,
)
from bot.domain.model_options import NO_OPTIONS, Effort, ModelOptions
from bot.text.mention_marks import marked_text, unmarked
from storage.engine.types import new_id, utc_now
from storage.tables import answers, messages


def to_chat(row: Row[Any]) -> Chat:
    in_slack = row.channel is not None and row.thread is not None
    return Chat(
        id=row.id,
        team=row.team,
        owner=row.owner,
        title=row.title,
        title_by=TitleBy(row.title_by),
        model=ModelRef(row.provider, row.model),
        message_count=row.message_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        thread=Thread(row.team, row.channel, row.thread) if in_slack else None,
        header_ts=row.header_ts,
        thread_context=row.context,
        continues=row.continues,
        branch_of=row.branch_of,
        instructions=row.instructions or "",
        options=to_options(row),
        origin_channel=row.origin_channel,
        stop_shown=row.stop_shown
        is not False,  # None: from a version whose headers always had the button
    )


def to_options(row: Row[Any]) -> ModelOptions:
    """The options chosen with a model, from a row of any table that stores them."""
    return ModelOptions(bool(row.web_search), Effort(row.effort) if row.effort else None)


def options_row(options: ModelOptions) -> dict[str, Any]:
    """The columns that store options."""
    return {"web_search": options.web_search, "effort": options.effort}


def new_chat(
    *,
    team: str,
    owner: str,
    model: ModelRef,
    title: str = DEFAULT_TITLE,
    thread: Thread | None = None,
    context: str | None = None,
    header_ts: str | None = None,
    instructions: str = "",
    options: ModelOptions = NO_OPTIONS,
) -> Chat:
    """A chat that begins now, as a value."""
    now = utc_now()
    return Chat(
        id=new_id(),
        team=team,
        owner=owner,
        title=title,
        title_by=TitleBy.DEFAULT if title == DEFAULT_TITLE else TitleBy.PERSON,
        model=model,
        message_count=0,
        created_at=now,
        updated_at=now,
        thread=thread,
        header_ts=header_ts,
        thread_context=context,
        instructions=instructions,
        options=options,
    )


def chat_row(chat: Chat) -> dict[str, Any]:
    """A row for `chats`."""
    return {
        "id": chat.id,
        "team": chat.team,
        "channel": chat.thread and chat.thread.channel,
        "thread": chat.thread and chat.thread.ts,
        "owner": chat.owner,
        "title": chat.title,
        "title_by": chat.title_by,
        "provider": chat.model.provider,
        "model": chat.model.name,
        "message_count": chat.message_count,
        "header_ts": chat.header_ts,
        "context": chat.thread_context,
        "continues": chat.continues,
        "branch_of": chat.branch_of,
        "instructions": chat.instructions or None,
        **options_row(chat.options),
        "origin_channel": chat.origin_channel,
        "stop_shown": chat.stop_shown,
        "created_at": chat.created_at,
        "updated_at": chat.updated_at,
    }


def people_of(row: Any) -> int:
    """See `bot.domain.Message.people`."""
    return int(row.author is not None) + int(row.quoted is not None)


def to_message(
    row: Row[Any], images: tuple[Attachment, ...] = (), omitted: tuple[Attachment, ...] = ()
) -> Message:
    return Message(
        id=row.id,
        chat_id=row.chat_id,
        number=row.number,
        role=Role(row.role),
        text=unmarked(row.text),
        marked_text=marked_text(row.text),
        status=Status(row.status),
        created_at=row.created_at,
        author=row.author,
        author_name=row.author_name,
        source=row.source,
        images=images,
        omitted_images=omitted,
        files=files_from_json(row.files),
        error=row.error,
        sources=sources_from_json(row.sources),
        quotes_others=row.quoted is not None,
    )


def select_answers() -> Select[Any]:
    """Answers joined with their messages, as `to_answer` and `to_result` expect them."""
    shown = (messages.c.text, messages.c.error, messages.c.status, messages.c.sources)
    return select(answers, *shown).join(messages, messages.c.id == answers.c.message_id)


def to_answer(row: Row[Any]) -> Answer:
    return Answer(
        id=row.message_id,
        chat_id=row.chat_id,
        number=row.number,
        question_id=row.question_id,
        status=Status(row.status),
        attempt=row.attempt,
        worker_id=row.owner,
        text=row.text,
        text_complete=row.complete,
        error=row.error,
        slack_messages=tuple(
            MessageRef(part["ts"], part["native"], part.get("leftover", False))
            for part in row.parts
        ),
        asker=row.asker,
        asker_team=row.asker_team,
        question_ts=row.question_ts,
        was_queued=row.queued,
        among_several=bool(row.among_several),
        stop_requested=row.stop_requested,
        trace=row.trace,
        refusal=row.refusal,
    )


def to_result(row: Row[Any]) -> AnswerResult | None:
    """The result of an answer whose model has finished; None before that."""
    if not row.complete:
        return None
    usage = None
    if row.prompt_tokens is not None:
        usage = Usage(row.prompt_tokens, row.completion_tokens, row.cost, row.cached_tokens or 0)
    return AnswerResult(
        status=Status(row.ending),
        text=row.text,
        error=row.error,
        detail=row.detail,
        usage=usage,
        seconds=row.seconds,
        truncated=row.cut,
        prompt=PromptFacts(row.estimated_tokens or 0, row.summarised or 0, row.omitted or 0),
        sources=sources_from_json(row.sources),
        pictures=row.pictures or 0,
        stopped_by=row.stopped_by,
        near_budgets=near_budgets_from_json(row.budget_notice),
    )


def result_row(result: AnswerResult) -> dict[str, Any]:
    """The columns of `answers` that store a result, which `to_result` reads."""
    usage = result.usage
    return {
        "complete": True,
        "ending": result.status,
        "detail": result.detail,
        "cut": result.truncated,
        "seconds": result.seconds,
        "prompt_tokens": usage and usage.prompt_tokens,
        "completion_tokens": usage and usage.completion_tokens,
        "cost": usage and usage.cost,
        "cached_tokens": usage and usage.cached_tokens,
        "estimated_tokens": result.prompt.estimated_tokens or None,
        "summarised": result.prompt.summarised or None,
        "omitted": result.prompt.omitted or None,
        "pictures": result.pictures or None,
    }


def parts_to_json(parts: tuple[MessageRef, ...]) -> list[dict[str, Any]]:
    """Without `leftover` if it is false, as versions without this field stored them."""
    return [
        {"ts": part.ts, "native": part.streaming, **({"leftover": True} if part.leftover else {})}
        for part in parts
    ]


def image_rows(images: tuple[Image, ...], message_id: str, begin: int = 0) -> list[dict[str, Any]]:
    """Rows for `attachments`; `begin` is the position of the first image."""
    return [
        {
            "message_id": message_id,
            "position": at,
            "name": image.name,
            "mime": image.mime,
            "data": image.data,
        }
        for at, image in enumerate(images, begin)
    ]


def to_attachment(row: Mapping[str, Any]) -> Attachment:
    """The attachment of a row made by `image_rows`."""
    return Attachment(
        row["message_id"], row["position"], row["name"], row["mime"], len(row["data"])
    )


def to_image(row: Row[Any]) -> Image:
    return Image(name=row.name, mime=row.mime, data=row.data)


def sources_from_json(text: str | None) -> tuple[Source, ...]:
    return tuple(Source(**each) for each in json.loads(text)) if text else ()


def sources_to_json(sources: tuple[Source, ...]) -> str | None:
    return json.dumps([asdict(source) for source in sources]) if sources else None


def near_budgets_from_json(text: str | None) -> tuple[NearBudget, ...]:
    return tuple(NearBudget(**each) for each in json.loads(text)) if text else ()


def near_budgets_to_json(budgets: tuple[NearBudget, ...]) -> str | None:
    return json.dumps([asdict(budget) for budget in budgets]) if budgets else None


def files_from_json(text: str | None) -> tuple[SharedFile, ...]:
    return tuple(SharedFile(**each) for each in json.loads(text)) if text else ()


def files_to_json(files: tuple[SharedFile, ...]) -> str | None:
    """Equal files give equal text, so that the column can be compared."""
    return json.dumps([_file_to_dict(file) for file in files], sort_keys=True) if files else None


def _file_to_dict(file: SharedFile) -> dict[str, Any]:
    """Without `before` if it is false, so that the text equals what versions without this field stored."""
    return {name: value for name, value in asdict(file).items() if name != "before" or value}

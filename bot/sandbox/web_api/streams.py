"""`chat.startStream`, `appendStream`, `stopStream`: streamed messages, and the rules that end them."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.limits import Limits
from bot.sandbox.state.records import Channel, Message, Revision, Stream
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.validation.blocks import MAX_MARKDOWN_LENGTH, check_message_blocks
from bot.sandbox.web_api.agents import SESSION_STATUSES
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.message_content import (
    author_fields,
    parse_metadata,
    reply_target,
)

MAX_STREAM_BLOCKS = 50
MAX_TASK_TEXT = 256
TASK_STATUSES = ("pending", "in_progress", "complete", "error")


def start_stream(call: Call) -> Json:
    """Opens a streamed message, with or without a first piece of text."""
    channel = call.writable()
    if not call.workspace.limits.native_streams and channel.type != "im":
        raise SlackRefusal("channel_type_not_supported")
    thread_ts = reply_target(call, channel)
    if thread_ts is None and channel.type == "im":
        raise SlackRefusal("invalid_thread_ts")
    stream = _new_stream(call, channel)
    mode, text, chunks = _payload(call)
    _check_size(call, stream, text)
    message = Message(
        channel.id,
        call.workspace.next_ts(),
        thread_ts=thread_ts,
        revisions=[],
        stream=stream,
        **author_fields(call),
    )
    message.revisions.append(Revision("markdown", [], []))
    _grow(call.workspace, message, stream, mode, text, chunks)
    if not message.latest.marks:
        message.latest.append(call.workspace.clock(), "")
    call.workspace.post(message)
    if thread_ts:
        call.workspace.set_status(channel.id, thread_ts, "", [])
        call.workspace.set_session(channel.id, thread_ts, status="processing")
    return {"channel": channel.id, "ts": message.ts}


def append_stream(call: Call) -> Json:
    """Adds text or chunks to an open stream."""
    message, stream = _own_stream(call)
    if stream.phase == "stopped":
        raise SlackRefusal("stopped_by_user")
    _check_open(call.workspace, message, stream)
    mode, text, chunks = _payload(call)
    if mode is None:
        raise SlackRefusal("no_text")
    _check_mode(stream, mode)
    _check_size(call, stream, text)
    _grow(call.workspace, message, stream, mode, text, chunks)
    call.workspace.emit("streamed", message.channel, message, text=text)
    return {"channel": message.channel, "ts": message.ts}


def stop_stream(call: Call) -> Json:
    """Finishes a streamed message, with the last text and blocks below it."""
    message, stream = _own_stream(call)
    mode, text, chunks = _payload(call)
    if stream.phase == "stopped" and stream.ended_at is None and mode is None:
        # The person pressed Stop: Slack has ended the text, but the app may still close the message.
        return _finish(call, message, stream)
    if stream.phase == "stopped" and mode is not None:
        raise SlackRefusal("stopped_by_user")
    _check_open(call.workspace, message, stream)
    if mode is not None:
        _check_mode(stream, mode)
        _check_size(call, stream, text)
    _check_status(call)
    blocks = _final_blocks(call, stream)
    if not (text or message.text or blocks or chunks or stream.tasks):
        raise SlackRefusal("no_text")
    if mode is not None:
        _grow(call.workspace, message, stream, mode, text, chunks)
    return _finish(call, message, stream)


def stop_by_user(workspace: Workspace, channel: str, root: str) -> list[Message]:
    """Slack's own Stop: ends every open stream of the thread as it is. Returns the stopped messages."""
    stopped = [message for message in workspace.thread(channel, root) if message.streaming]
    for message in stopped:
        assert message.stream is not None
        message.stream.phase = "stopped"
        message.latest.append(workspace.clock(), "")
        workspace.emit("stream_ended", channel, message)
    return stopped


def _new_stream(call: Call, channel: Channel) -> Stream:
    now = call.workspace.clock()
    display = call.args.text("task_display_mode", "timeline")
    if display not in ("timeline", "plan"):
        raise SlackRefusal(
            "invalid_arguments", "[ERROR] task_display_mode must be timeline or plan"
        )
    recipient = call.args.text("recipient_user_id") or None
    if channel.type != "im":
        _check_recipient(call, recipient)
    else:
        recipient = recipient or next(
            user for user in channel.members if user != call.workspace.bot.id
        )
    return Stream(recipient, now, now + call.workspace.limits.stream_ttl, display)


def _check_recipient(call: Call, recipient: str | None) -> None:
    if recipient is None:
        raise SlackRefusal("missing_recipient_user_id")
    if "recipient_team_id" not in call.args:
        raise SlackRefusal("missing_recipient_team_id")
    user = call.workspace.users.get(recipient)
    if user is None or user.is_bot:
        raise SlackRefusal("user_not_found")
    if call.args.text("recipient_team_id") != user.team_id:
        raise SlackRefusal("team_not_found")


def _own_stream(call: Call) -> tuple[Message, Stream]:
    channel = call.writable()
    message = call.workspace.message(channel.id, call.args.required("ts", "message_not_found"))
    if message.app_id != call.workspace.app_id:
        raise SlackRefusal("message_not_owned_by_app")
    if message.stream is None:
        raise SlackRefusal("message_not_in_streaming_state")
    return message, message.stream


def _check_open(workspace: Workspace, message: Message, stream: Stream) -> None:
    if stream.phase == "open" and workspace.clock() >= stream.expires_at:
        workspace.expire_stream(message)
    if stream.phase != "open":
        raise SlackRefusal("message_not_in_streaming_state")


def _check_mode(stream: Stream, mode: str) -> None:
    if stream.mode is not None and mode != stream.mode:
        raise SlackRefusal("streaming_mode_mismatch")


def _payload(call: Call) -> tuple[str | None, str, list[Json]]:
    """The mode of this call (None without content), its text, and its other chunks."""
    chunks = call.args.items("chunks", "invalid_chunks")
    text = call.args.text("markdown_text")
    if chunks is not None and "markdown_text" in call.args:
        raise SlackRefusal("cannot_provide_both_markdown_text_and_chunks")
    if chunks is None:
        if len(text) > MAX_MARKDOWN_LENGTH:
            raise SlackRefusal("msg_too_long")
        return ("text" if text else None), text, []
    if not chunks:
        return None, "", []
    texts = [_checked_chunk(chunk) for chunk in chunks]
    text = "".join(texts)
    if len(text) > MAX_MARKDOWN_LENGTH:
        raise SlackRefusal("msg_too_long")
    return "chunks", text, [chunk for chunk in chunks if chunk["type"] != "markdown_text"]


def _checked_chunk(chunk: Json) -> str:
    """The Markdown of a chunk; SlackRefusal if it is not a valid chunk."""
    kind = chunk.get("type")
    if kind == "markdown_text" and isinstance(chunk.get("text"), str):
        return str(chunk["text"])
    if kind == "task_update" and _is_task(chunk):
        return ""
    if kind == "plan_update" and _is_short(chunk.get("title")):
        return ""
    if kind == "blocks" and isinstance(chunk.get("blocks"), list):
        check_message_blocks(chunk["blocks"])
        return ""
    raise SlackRefusal("invalid_chunks", f"[ERROR] invalid chunk of type {kind!r}")


def _is_task(chunk: Json) -> bool:
    """Slack's documentation gives each string of a task 256 characters."""
    texts = [chunk.get(name, "") for name in ("title", "details", "output")]
    sources = chunk.get("sources", [])
    return (
        _is_short(chunk.get("id"))
        and bool(chunk["id"])
        and all(map(_is_short, texts))
        and chunk.get("status", "pending") in TASK_STATUSES
        and isinstance(sources, list)
        and all(isinstance(each, dict) and _is_short(each.get("text")) for each in sources)
    )


def _is_short(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MAX_TASK_TEXT


def _check_size(call: Call, stream: Stream, text: str) -> None:
    limits: Limits = call.workspace.limits
    if stream.full or stream.size + len(text.encode()) > limits.stream_bytes:
        # Reported from production: once a message is full, every later call on it is refused, however short.
        stream.full = True
        raise SlackRefusal("msg_too_long")


def _grow(
    workspace: Workspace,
    message: Message,
    stream: Stream,
    mode: str | None,
    text: str,
    chunks: list[Json],
) -> None:
    if mode is None:
        return
    added = [block for chunk in chunks if chunk["type"] == "blocks" for block in chunk["blocks"]]
    tasks = {
        **stream.tasks,
        **{chunk["id"]: chunk for chunk in chunks if chunk["type"] == "task_update"},
    }
    if stream.block_count + len(added) + len(tasks) > MAX_STREAM_BLOCKS:
        raise SlackRefusal("msg_blocks_too_many")
    stream.mode = "chunks" if mode == "chunks" else "text"
    stream.size += len(text.encode())
    stream.block_count += len(added)
    for chunk in chunks:
        if chunk["type"] == "task_update":
            _update_task(stream, chunk)
        elif chunk["type"] == "plan_update":
            stream.plan = chunk["title"]
    message.latest.blocks.extend(workspace.with_block_ids(added))
    if text or chunks:
        message.latest.append(workspace.clock(), text)


def _update_task(stream: Stream, chunk: Json) -> None:
    """Updates a task: title and status are replaced, details and output are appended to."""
    task = stream.tasks.setdefault(
        chunk["id"], {"id": chunk["id"], "title": "", "status": "pending"}
    )
    for name in ("title", "status", "sources"):
        if name in chunk:
            task[name] = chunk[name]
    for name in ("details", "output"):
        if chunk.get(name):
            task[name] = task.get(name, "") + str(chunk[name])


def _check_status(call: Call) -> None:
    status = call.args.text("session_status")
    if status and status not in SESSION_STATUSES:
        raise SlackRefusal("invalid_arguments", "[ERROR] unknown session_status")


def _final_blocks(call: Call, stream: Stream) -> list[Json]:
    blocks = call.args.items("blocks", "invalid_blocks") or []
    if blocks:
        check_message_blocks(blocks)
    if len(blocks) + stream.block_count > 2 * MAX_STREAM_BLOCKS:
        raise SlackRefusal("msg_blocks_too_many")
    return blocks


def _finish(call: Call, message: Message, stream: Stream) -> Json:
    _check_status(call)
    blocks = _final_blocks(call, stream)
    now = call.workspace.clock()
    message.latest.blocks.extend(call.workspace.with_block_ids(blocks))
    message.latest.append(now, "")
    message.metadata = parse_metadata(call) or message.metadata
    if stream.phase == "open":
        stream.phase = "done"
    stream.ended_at = now
    for task in stream.tasks.values():
        if task.get("status") == "in_progress":
            task["status"] = "error"
    if message.thread_ts:
        status = call.args.text("session_status") or "active"
        call.workspace.set_session(message.channel, message.thread_ts, status=status)
    call.workspace.emit("stream_ended", message.channel, message)
    answer: Json = {
        "type": "message",
        "user": message.user,
        "bot_id": message.bot_id,
        "ts": message.ts,
    }
    answer |= {"text": message.text, "streaming_state": "completed", "blocks": message.blocks}
    return {"channel": message.channel, "ts": message.ts, "message": answer}


STREAM_METHODS = {
    "chat.startStream": Method(start_stream, ("chat:write",)),
    "chat.appendStream": Method(append_stream, ("chat:write",)),
    "chat.stopStream": Method(stop_stream, ("chat:write",)),
}

"""`chat.*` without streams: post, edit and delete messages; and a message as Slack's JSON."""

from __future__ import annotations

import re

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, Ephemeral, Message, Revision
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.text import rich_text
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.message_content import (
    author_fields,
    checked_attachments,
    parse_attachments,
    parse_content,
    parse_metadata,
    reply_target,
)

MAX_UPDATE_TEXT_LENGTH = 4_000
_CONTENT = frozenset({"text", "blocks", "markdown_text"})

_NOT_IN_ADDRESS = re.compile(r"[^a-z0-9._-]+")
"""Characters that Slack replaces with an underscore in the URL of a file with such a name."""


def message_json(workspace: Workspace, message: Message) -> Json:
    """A message as history, replies and events show it to the app."""
    revision = message.latest
    text = revision.fallback if revision.format == "mrkdwn" else revision.text
    shown: Json = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "team": workspace.team_id,
        "text": text,
    }
    blocks = revision.blocks
    if not blocks and not message.bot_id and text:
        blocks = [rich_text(text, "b" + message.ts[-6:])]
    if blocks:
        shown["blocks"] = blocks
    shown |= _thread_facts(workspace, message)
    if message.bot_id:
        shown |= {
            "bot_id": message.bot_id,
            "app_id": message.app_id,
            "bot_profile": bot_profile(workspace, message),
        }
    for name in ("subtype", "username", "metadata"):
        if getattr(message, name):
            shown[name] = getattr(message, name)
    if message.edited:
        shown["edited"] = {"user": message.edited[0], "ts": message.edited[1]}
    if any(each.ts == message.ts for each in workspace.channels[message.channel].pins):
        shown["pinned_to"] = [message.channel]
    return shown | _attached(workspace, message)


def _attached(workspace: Workspace, message: Message) -> Json:
    shown: Json = {}
    if message.attachments:
        shown["attachments"] = message.attachments
    if message.files:
        shown["files"] = [file_json(workspace, file_id) for file_id in message.files]
    if message.reactions:
        reactions = message.reactions.items()
        shown["reactions"] = [
            {"name": name, "users": list(who), "count": len(who)} for name, who in reactions
        ]
    if message.stream is not None:
        shown["streaming_state"] = "in_progress" if message.streaming else "completed"
    return shown


def forward_json(workspace: Workspace, message: Message) -> Json:
    """The attachment by which a message is forwarded."""
    shown, author = message_json(workspace, message), workspace.users[message.user]
    address = f"{workspace.base_url}/archives/{message.channel}/p{message.ts.replace('.', '')}"
    quoted = {"team": workspace.team_id, "channel": message.channel, "ts": message.ts}
    made: Json = {
        "id": 1,
        "is_share": True,
        "is_msg_unfurl": True,
        "from_url": address,
        "ts": message.ts,
        "channel_id": message.channel,
        "author_id": message.user,
        "author_name": author.real_name,
        "author_subname": author.name,
        "text": shown["text"],
        "fallback": f"[{message.ts}] {author.name}: {shown['text']}",
        "footer": "Posted in a channel",
        "message_blocks": [{**quoted, "message": {"blocks": shown.get("blocks", [])}}],
        "mrkdwn_in": ["text"],
    }
    return made | {name: shown[name] for name in ("files", "attachments") if name in shown}


def _thread_facts(workspace: Workspace, message: Message) -> Json:
    if not message.thread_ts:
        return {}
    shown: Json = {"thread_ts": message.thread_ts}
    if message.thread_ts != message.ts:
        root = workspace.channels[message.channel].messages.get(message.thread_ts)
        shown["parent_user_id"] = root.user if root else "USLACKBOT"
    return shown | (_reply_facts(workspace, message) if message.replies else {})


def _reply_facts(workspace: Workspace, message: Message) -> Json:
    messages = workspace.channels[message.channel].messages
    users = list(dict.fromkeys(messages[ts].user for ts in message.replies if ts in messages))
    count, latest = len(message.replies), message.replies[-1]
    return {
        "reply_count": count,
        "reply_users": users,
        "reply_users_count": len(users),
        "latest_reply": latest,
    }


def bot_profile(workspace: Workspace, message: Message) -> Json:
    user = workspace.users[message.user]
    return {
        "id": user.bot_id,
        "name": user.name,
        "app_id": user.app_id,
        "team_id": user.team_id,
        "deleted": False,
    }


def file_json(workspace: Workspace, file_id: str) -> Json:
    """A file as Slack's JSON. The private URLs need the app's token."""
    file = workspace.files[file_id]
    if file.mode == "tombstone" and not file.json_overrides:
        return {"id": file.id, "mode": "tombstone"}
    name = _NOT_IN_ADDRESS.sub("_", file.name.lower())
    url = f"{workspace.base_url}/files/{workspace.team_id}-{file.id}/{name}"
    extension = file.name.rpartition(".")[2].lower() if "." in file.name else "binary"
    usual = {
        "id": file.id,
        "created": int(file.created),
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": "text" if extension == "txt" else extension,
        "user": file.user,
        "size": len(file.content),
        "mode": file.mode,
        "is_external": False,
        "url_private": url,
        "url_private_download": url + "?download=1",
        "permalink": f"{workspace.base_url}/files/{file.user}/{file.id}",
        "file_access": "visible",
        "alt_txt": file.alt_text or None,
        "channels": list(file.channels),
    }
    return {
        name: value for name, value in (usual | file.json_overrides).items() if value is not None
    }


def post_message(call: Call) -> Json:
    """`chat.postMessage`."""
    message, warnings = new_message(call, call.postable())
    message.ts = call.workspace.next_ts()
    call.workspace.post(message)
    if message.thread_ts:
        call.workspace.set_status(message.channel, message.thread_ts, "", [])
    shown = message_json(call.workspace, message)
    return {"channel": message.channel, "ts": message.ts, "message": shown, **warnings}


def new_message(call: Call, channel: Channel) -> tuple[Message, Json]:
    """The message that a call describes, not posted yet and without a ts, and the warnings about it."""
    thread_ts = reply_target(call, channel)
    revision, warnings = parse_content(call)
    broadcast = call.args.flag("reply_broadcast") and thread_ts is not None
    message = Message(
        channel.id,
        "",
        thread_ts=thread_ts,
        revisions=[revision],
        metadata=parse_metadata(call),
        subtype="thread_broadcast" if broadcast else None,
        attachments=parse_attachments(call) or [],
        **author_fields(call),
    )
    return message, warnings


def me_message(call: Call) -> Json:
    """`chat.meMessage`."""
    channel = call.postable()
    text = call.args.required("text", "no_text")
    message = Message(
        channel.id,
        call.workspace.next_ts(),
        thread_ts=None,
        revisions=[call.workspace.revision("mrkdwn", text, [])],
        subtype="me_message",
        **author_fields(call),
    )
    call.workspace.post(message)
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(call: Call) -> Json:
    """`chat.postEphemeral`: only `user`, who must be in the channel, sees it."""
    channel = call.writable()
    user = call.args.required("user", "invalid_arguments")
    if user not in call.workspace.users:
        raise SlackRefusal("user_not_found")
    if user not in channel.members:
        raise SlackRefusal("user_not_in_channel")
    thread_ts = reply_target(call, channel)
    revision, warnings = parse_content(call)
    ephemeral = Ephemeral(
        id=call.workspace.new_id("E"),
        channel=channel.id,
        thread_ts=thread_ts,
        ts=call.workspace.next_ts(),
        viewer=user,
        author=call.workspace.bot.id,
        format=revision.format,
        text=revision.text,
        blocks=revision.blocks,
        fallback=revision.fallback,
        at=call.workspace.clock(),
        attachments=parse_attachments(call) or [],
    )
    call.workspace.post_ephemeral(ephemeral)
    return {"message_ts": ephemeral.ts, **warnings}


def update(call: Call) -> Json:
    """`chat.update` of one of the app's own messages."""
    message = _own(call, "cant_update_message")
    if message.streaming:
        if call.workspace.clock() < (message.stream.expires_at if message.stream else 0.0):
            raise SlackRefusal("streaming_state_conflict")
        call.workspace.expire_stream(message)
    metadata, attachments = parse_metadata(call), parse_attachments(call)
    revision = _kept(call.workspace, message)
    warnings: Json = {}
    if not _CONTENT.isdisjoint(call.args.names()) or not (attachments or metadata):
        revision, warnings = parse_content(call, text_max=MAX_UPDATE_TEXT_LENGTH)
    if metadata is not None:
        message.metadata = metadata
    if attachments is not None:
        message.attachments = attachments
    call.workspace.edit(message, revision, message.user)
    shown = message_json(call.workspace, message)
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": shown["text"],
        "message": shown,
        **warnings,
    }


def _kept(workspace: Workspace, message: Message) -> Revision:
    """The same content again: an edit without text and blocks only changes other fields."""
    latest = message.latest
    text = latest.fallback if latest.format == "mrkdwn" else latest.text
    return workspace.revision(latest.format, text, latest.blocks)


def unfurl(call: Call) -> Json:
    """`chat.unfurl`: previews, by URL, below a message in a channel of the app."""
    channel = call.channel()
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal("not_in_channel")
    message = channel.messages.get(call.args.required("ts", "cannot_find_message"))
    if message is None:
        raise SlackRefusal("cannot_find_message")
    previews = call.args.structure("unfurls", "cannot_parse_attachment")
    if not isinstance(previews, dict) or not all(isinstance(e, dict) for e in previews.values()):
        raise SlackRefusal("missing_unfurls" if previews is None else "cannot_parse_attachment")
    made = checked_attachments(call.workspace, list(previews.values()))
    kept = [each for each in message.attachments if each.get("app_unfurl_url") not in previews]
    message.attachments = kept + [
        {**each, "app_unfurl_url": url, "is_app_unfurl": True}
        for each, url in zip(made, previews, strict=True)
    ]
    call.workspace.emit("unfurled", channel.id, message)
    return {}


def delete(call: Call) -> Json:
    """`chat.delete` of one of the app's own messages."""
    message = _own(call, "cant_delete_message")
    if message.stream is not None and message.stream.phase == "open":
        message.stream.phase = "done"
    call.workspace.delete(message)
    return {"channel": message.channel, "ts": message.ts}


def permalink(call: Call) -> Json:
    """`chat.getPermalink`."""
    channel = call.channel()
    message = call.workspace.message(
        channel.id, call.args.required("message_ts", "message_not_found")
    )
    return {"channel": channel.id, "permalink": permalink_of(call.workspace, message)}


def permalink_of(workspace: Workspace, message: Message) -> str:
    link = f"{workspace.base_url}/archives/{message.channel}/p{message.ts.replace('.', '')}"
    if message.thread_ts and message.thread_ts != message.ts:
        link += f"?thread_ts={message.thread_ts}&cid={message.channel}"
    return link


def _own(call: Call, not_mine: str) -> Message:
    channel = call.channel()
    message = call.workspace.message(channel.id, call.args.required("ts", "message_not_found"))
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    if message.app_id != call.workspace.app_id:
        raise SlackRefusal(not_mine)
    return message


CHAT_METHODS = {
    "chat.postMessage": Method(post_message, ("chat:write",)),
    "chat.postEphemeral": Method(post_ephemeral, ("chat:write",)),
    "chat.update": Method(update, ("chat:write",)),
    "chat.delete": Method(delete, ("chat:write",)),
    "chat.getPermalink": Method(permalink),
    "chat.meMessage": Method(me_message, ("chat:write",)),
    "chat.unfurl": Method(unfurl, ("links:write",)),
}

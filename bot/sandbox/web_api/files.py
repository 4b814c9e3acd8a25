"""`files.*`, and the URLs that serve files (with a token) and take uploads (without one)."""

from __future__ import annotations

import mimetypes
import secrets
from functools import partial
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.faults import Fault, Faults
from bot.sandbox.state.file_changes import delete_file_everywhere
from bot.sandbox.state.records import Channel, File, Message
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method
from bot.sandbox.web_api.message_content import author_fields, reply_target
from bot.sandbox.web_api.messages import file_json
from bot.sandbox.web_api.pages import next_page, numbered_page

MAX_ALT_TEXT = 1_000
"""Characters."""
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body>Sign in to Sandbox</body></html>"


def file_info(call: Call) -> Json:
    """`files.info`: only of files in conversations that the app is a member of."""
    file = call.workspace.files.get(call.args.required("file", "file_not_found"))
    if file is None or not _sees(call.workspace, file):
        raise SlackRefusal("file_not_found")
    if file.mode == "tombstone":
        raise SlackRefusal("file_deleted")
    page = {"comments": [], **next_page("")}
    return {"file": file_json(call.workspace, file.id), **page}


def list_files(call: Call) -> Json:
    """`files.list`: the files that the app may read, newest first, in numbered pages."""
    channel, user = call.args.text("channel"), call.args.text("user")
    wanted = set(call.args.strings("types")) - {"all"}
    since, until = call.args.number("ts_from", 0), call.args.number("ts_to", 0) or float("inf")
    found = [
        file
        for file in call.workspace.files.values()
        if file.channels
        and file.mode != "tombstone"
        and _sees(call.workspace, file)
        and (not channel or channel in file.channels)
        and user in ("", file.user)
        and (not wanted or not wanted.isdisjoint(_kinds(file)))
        and since <= file.created <= until
    ]
    page, paging = numbered_page(call, sorted(found, key=lambda each: each.created, reverse=True))
    return {"files": [file_json(call.workspace, file.id) for file in page], **paging}


def _kinds(file: File) -> set[str]:
    """The types by which `files.list` can be asked for such a file."""
    kind, _, subtype = file.mimetype.partition("/")
    kinds = {"image": {"images"}, "application": {"zips"} if subtype == "zip" else set()}
    found = kinds.get(kind, set()) | ({"snippets"} if file.mode == "snippet" else set())
    return found | ({"pdfs"} if subtype == "pdf" else set())


def delete_file(call: Call) -> Json:
    """`files.delete`: of the app's own files; messages keep a tombstone of it."""
    file = call.workspace.files.get(call.args.required("file", "file_not_found"))
    if file is None or not _sees(call.workspace, file):
        raise SlackRefusal("file_not_found")
    if file.mode == "tombstone":
        raise SlackRefusal("file_deleted")
    if file.user != call.workspace.bot.id:
        raise SlackRefusal("cant_delete_file")
    delete_file_everywhere(call.workspace, file)
    return {}


def _sees(workspace: Workspace, file: File) -> bool:
    """Whether the app may read this file. One that is not shared yet counts, since it is about to be."""
    bot = workspace.bot.id
    return (
        not file.channels
        or file.user == bot
        or any(bot in workspace.channels[id].members for id in file.channels)
    )


def get_upload_url(uploads: Uploads, call: Call) -> Json:
    """`files.getUploadURLExternal`: a URL to post the bytes to."""
    name = call.args.required("filename")
    length = call.args.number("length", 0)
    if length < 1:
        raise SlackRefusal("invalid_arguments", "[ERROR] length must be at least 1")
    alt_text = call.args.text("alt_txt")
    if len(alt_text) > MAX_ALT_TEXT:
        raise SlackRefusal("invalid_arguments", "[ERROR] alt_txt is longer than 1000 characters")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    workspace = call.workspace
    mode = "snippet" if call.args.text("snippet_type") else "hosted"
    file = File(
        id=workspace.new_id("F"),
        name=name,
        title=name,
        mimetype=kind,
        content=b"",
        user=workspace.bot.id,
        created=workspace.clock(),
        mode=mode,
        alt_text=alt_text,
    )
    uploads.announced[key := secrets.token_hex(12)] = (file, length)
    return {"upload_url": f"{workspace.base_url}/upload/{key}", "file_id": file.id}


def complete_upload(uploads: Uploads, call: Call) -> Json:
    """`files.completeUploadExternal`: share the uploaded files."""
    wanted = call.args.items("files") or []
    if not wanted:
        raise SlackRefusal("invalid_arguments", "[ERROR] missing required field: files")
    files = [_uploaded(uploads, call, each) for each in wanted]
    named = (
        [call.args.text("channel_id")]
        if call.args.text("channel_id")
        else call.args.strings("channels")
    )
    if len(named) > 1 and "thread_ts" in call.args:
        raise SlackRefusal("invalid_arguments", "[ERROR] thread_ts wants exactly one channel")
    for channel_id in named:
        _share(call, channel_id, files)
    return {"files": [file_json(call.workspace, file.id) for file in files]}


def _uploaded(uploads: Uploads, call: Call, wanted: Json) -> File:
    file = uploads.received.pop(str(wanted.get("id")), None)
    if file is None:
        raise SlackRefusal("file_not_found")
    file.title = str(wanted.get("title") or file.name)
    call.workspace.files[file.id] = file
    return file


def _share(call: Call, channel_id: str, files: list[File]) -> None:
    channel = _target(call, channel_id)
    text = call.args.text("initial_comment")
    revision = call.workspace.revision("mrkdwn", text, [])
    target = reply_target(call, channel)
    message = Message(
        channel.id,
        call.workspace.next_ts(),
        thread_ts=target,
        revisions=[revision],
        **author_fields(call),
    )
    message.files = [file.id for file in files]
    for file in files:
        file.channels.append(channel.id)
    call.workspace.post(message)


def _target(call: Call, channel_id: str) -> Channel:
    channel = call.workspace.channels.get(channel_id)
    if channel is None or not call.workspace.can_see(channel, call.workspace.bot.id):
        raise SlackRefusal("channel_not_found")
    if call.workspace.bot.id not in channel.members:
        raise SlackRefusal("not_in_channel")
    return channel


class Uploads:
    """Takes and serves the bytes of files."""

    def __init__(
        self, workspace: Workspace, bot_token: str, scopes: frozenset[str], faults: Faults
    ) -> None:
        """`faults`: those of `upload`, which is not a method, apply to the bytes of files."""
        self._workspace = workspace
        self._bot_token = bot_token
        self._scopes = scopes
        self._faults = faults
        self.announced: dict[str, tuple[File, int]] = {}
        self.received: dict[str, File] = {}

    async def receive(self, request: Request) -> Response:
        """Takes the bytes of a file, raw or as a form, at the URL that the app was given."""
        fault = self._faults.next_fault("upload", {})
        if fault is not None and fault.mode == "hang":
            await self._faults.hang(fault.seconds)
        if fault is not None and not fault.after_effect:
            return PlainTextResponse("a fault was asked for", _status_of(fault))
        file, length = self.announced.pop(request.path_params["key"], (None, 0))
        if file is None:
            return PlainTextResponse("no such upload", 404)
        if request.headers.get("content-type", "").startswith("multipart/"):
            async with request.form() as form:
                parts = [value for value in form.values() if not isinstance(value, str)]
                content = await parts[0].read() if parts else b""
        else:
            content = await request.body()
        if len(content) != length:
            return PlainTextResponse("the length is not the one announced", 400)
        file.content = content
        self.received[file.id] = file
        return PlainTextResponse(f"OK - {length}", 200 if fault is None else _status_of(fault))

    async def send(self, request: Request) -> Response:
        """Serves a private file to the app. Without its token or the scope, it serves Slack's sign-in page."""
        file = self._workspace.files.get(request.path_params["file"].partition("-")[2])
        if file is None:
            return PlainTextResponse("not found", 404)
        token = request.headers.get("authorization", "").partition(" ")[2]
        ours = secrets.compare_digest(token.encode(), self._bot_token.encode())
        if not ours or "files:read" not in self._scopes or not _sees(self._workspace, file):
            return HTMLResponse(LOGIN_PAGE, headers={"x-slack-meta": "acl_fail"})
        return file_response(file)


def _status_of(fault: Fault) -> int:
    return 429 if fault.mode == "ratelimited" else fault.status


def file_response(file: File) -> Response:
    """The bytes with their type and headers that keep a browser from running them as a page."""
    disposition = f"inline; filename*=UTF-8''{quote(file.name)}"
    headers = {"content-disposition": disposition, "x-content-type-options": "nosniff"}
    headers["content-security-policy"] = "default-src 'none'; sandbox"
    return Response(file.content, media_type=file.mimetype, headers=headers)


def file_methods(uploads: Uploads) -> dict[str, Method]:
    """The methods of this module."""
    return {
        "files.info": Method(file_info, ("files:read",)),
        "files.list": Method(list_files, ("files:read",)),
        "files.delete": Method(delete_file, ("files:write",)),
        "files.getUploadURLExternal": Method(partial(get_upload_url, uploads), ("files:write",)),
        "files.completeUploadExternal": Method(partial(complete_upload, uploads), ("files:write",)),
    }

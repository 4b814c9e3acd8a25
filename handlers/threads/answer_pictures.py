"""Shows the pictures of an answer in its thread: uploads them one by one, and shares them together, once.

    no file ──upload──▶ file in Slack that nobody sees ──share──▶ shown
                             ▲ │
                             └─┘ after a kill or a lost response: is it shared already?

The id of a picture's file is stored before it is shared. So a process that takes over asks Slack whether the file is
shared, and a kill before sharing leaves a file that nobody sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bot import strings
from bot.answers.after_work import DONE, FAILED, ChoreJob, ChoreResult
from bot.domain import Chat, ModelRef, Thread, User
from bot.observability import get_logger
from bot.runtime.memory import MemoryBudget
from handlers.client.errors import SlackError, SlackRejected
from handlers.client.granted_scopes import UPLOAD_SCOPE
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.threads.own_messages import find_own
from handlers.views import blocks
from storage.pictures import Picture, Pictures

log = get_logger(__name__)

TRIES_TO_SHOW = 6
"""Attempts of the chore to show them, which take a few minutes; later ones say that the pictures are not shown."""
SHARE_OF_TRY = 0.8
"""The share of one attempt's time for showing them; the rest is for saying that it failed."""
_NO_SCOPE = frozenset(
    {"missing_scope", "not_allowed_token_type", "unknown_method", "no_permission"}
)
_NO_FILE = frozenset({"file_not_found", "files_not_found"})


class AnswerPictures:
    def __init__(
        self,
        pictures: Pictures,
        memory: MemoryBudget,
        names: UserNames,
        label: Callable[[ModelRef], str],
    ) -> None:
        """`label`: a model's name as people see it."""
        self._pictures = pictures
        self._memory = memory
        self._names = names
        self._label = label

    async def show(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        """Does `Chore.SHOW_PICTURES`. Raises SlackError, StorageError."""
        found = await self._pictures.of_messages([job.answer.id])
        pictures = found.get(job.answer.id, [])
        if not pictures:
            return DONE
        try:
            await self._show(slack, thread, job, pictures)
        except SlackRejected as error:
            await self._notify(slack, thread, job, error.code)
        except (SlackError, TimeoutError) as error:
            log.info("pictures_not_shown", answer=job.answer.id, reason=type(error).__name__)
            if job.tries <= TRIES_TO_SHOW:
                return FAILED
            await self._notify(slack, thread, job, "timeout")
        return DONE

    async def _show(
        self, slack: SlackClient, thread: Thread, job: ChoreJob, pictures: Sequence[Picture]
    ) -> None:
        """Raises SlackError, TimeoutError."""
        if not slack.granted.may_upload:
            raise SlackRejected("upload", "missing_scope")
        async with asyncio.timeout(slack.timing.chore_timeout * SHARE_OF_TRY):
            files = [each.slack_file for each in pictures if each.slack_file is not None]
            if job.again and len(files) == len(pictures) and await _is_shared(slack, thread, files):
                return
            if job.tries > TRIES_TO_SHOW:
                raise TimeoutError
            async with self._names.using_language_of(User(job.chat.team, job.chat.owner)):
                model = plain(self._label(job.chat.model), 150)
                alt_text = strings.PICTURE_ALT.format(model=model)
            shared = [await self._uploaded(slack, each, alt_text) for each in pictures]
            await self._share(slack, thread, pictures, shared)

    async def _uploaded(self, slack: SlackClient, picture: Picture, alt_text: str) -> str:
        """Uploads a picture if needed; returns the id of its file, which is visible once it is shared. Raises
        SlackError.
        """
        if picture.slack_file is not None:
            return picture.slack_file
        slot = await slack.call_with_retry(
            "files.getUploadURLExternal",
            filename=picture.name,
            length=picture.size,
            alt_txt=alt_text,
        )
        with self._memory.reserve(slack.team) as reservation:  # not while waiting for a call's turn
            await reservation.add(picture.size)
            image = await self._pictures.load(picture.message_id, picture.position)
            await slack.upload(str(slot["upload_url"]), b"" if image is None else image.data)
        await self._pictures.note_file(picture, str(slot["file_id"]))
        return str(slot["file_id"])

    async def _share(
        self,
        slack: SlackClient,
        thread: Thread,
        pictures: Sequence[Picture],
        files: Sequence[str],
    ) -> None:
        """Makes the files visible in the thread, in one message. Raises SlackError."""
        try:
            await slack.call_with_retry(
                "files.completeUploadExternal",
                retry_if_unknown=False,
                files=[
                    {"id": file, "title": picture.name}
                    for file, picture in zip(files, pictures, strict=True)
                ],
                channel_id=thread.channel,
                thread_ts=thread.ts,
            )
        except SlackRejected as error:
            if error.code not in _NO_FILE:
                raise
            for picture in pictures:  # Slack has forgotten them: they are uploaded again
                await self._pictures.note_file(picture, None)
            raise TimeoutError from error

    async def _notify(self, slack: SlackClient, thread: Thread, job: ChoreJob, code: str) -> None:
        """Says in the thread that the pictures are not shown, and where they are. Raises SlackError."""
        log.warning("pictures_refused", answer=job.answer.id, reason=code)
        block_id = blocks.pictures_block_id(job.answer.id)
        async with self._names.using_language_of(User(job.chat.team, job.chat.owner)):
            text = _refusal(job.chat, code)
        await post_message_once(
            slack,
            lambda: find_own(slack, thread, block_id),
            look_first=job.again,
            retry_limit=0.0,
            channel=thread.channel,
            thread_ts=thread.ts,
            blocks=[{**blocks.section(text), "block_id": block_id}],
            text=text,
            unfurl_links=False,
            unfurl_media=False,
        )


async def _is_shared(slack: SlackClient, thread: Thread, files: Sequence[str]) -> bool:
    """Whether the files are visible in this channel, or were until somebody deleted them. Raises SlackError."""
    for file in files:
        try:
            found = (await slack.call_with_retry("files.info", file=file)).get("file") or {}
        except SlackRejected as error:
            if error.code == "file_deleted":
                return True
            if error.code in _NO_FILE:
                return False
            raise
        places = {id for kind in ("channels", "groups", "ims") for id in found.get(kind) or ()}
        shares = found.get("shares") or {}
        places |= {id for kind in ("public", "private") for id in shares.get(kind) or {}}
        if thread.channel not in places:
            return False
    return True


def _refusal(chat: Chat, code: str) -> str:
    if code in _NO_SCOPE:
        return strings.PICTURES_WITHOUT_SCOPE.format(scope=UPLOAD_SCOPE, id=chat.id)
    return strings.PICTURES_REFUSED.format(reason=mrkdwn_escape(plain(code, 80)), id=chat.id)

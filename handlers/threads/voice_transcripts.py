"""Shows the transcript of a question's voice clips in the thread, exactly once even after a kill."""

from __future__ import annotations

from bot import english_strings, strings
from bot.answers.after_work import DONE, ChoreJob, ChoreResult
from bot.domain import Thread, User
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.rate_limits.urgency import Urgency
from handlers.threads.api_echo import MAX_FALLBACK_LENGTH, MAX_MESSAGE_LENGTH, escape_and_cut
from handlers.threads.own_messages import find_own
from handlers.views import blocks
from storage.chats import Chats

MAX_NAME_LENGTH = 80


class VoiceTranscripts:
    def __init__(self, chats: Chats, names: UserNames) -> None:
        self._chats = chats
        self._names = names

    async def show(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        """Does `Chore.SHOW_TRANSCRIPT`. Raises SlackError, StorageError."""
        question = await self._chats.message(job.answer.question_id)
        transcript = await self._chats.transcript_of(question.id)
        if not transcript:
            return DONE
        speaker = User(job.chat.team, question.author or "")
        name = await self._names(speaker) or english_strings.UNKNOWN_PERSON
        async with self._names.using_language_of(User(job.chat.team, job.chat.owner)):
            shown = strings.SPOKEN.format(
                name=mrkdwn_escape(plain(name, MAX_NAME_LENGTH)),
                text=escape_and_cut(transcript, MAX_MESSAGE_LENGTH),
            )
            fallback = strings.SPOKEN.format(name=name, text=transcript)
        block_id = blocks.transcript_block_id(question.id)
        await post_message_once(
            slack,
            lambda: find_own(slack, thread, block_id),
            look_first=job.again,
            retry_limit=0.0,
            urgency=Urgency.ANSWER,
            channel=thread.channel,
            thread_ts=thread.ts,
            blocks=[{**blocks.section(shown), "block_id": block_id}],
            text=plain(fallback, MAX_FALLBACK_LENGTH),
            unfurl_links=False,
            unfurl_media=False,
        )
        return DONE

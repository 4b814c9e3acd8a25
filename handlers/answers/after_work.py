"""The chores of an answer that are done in Slack: each is one small change that may safely be repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from bot.answers.after_work import DONE, FAILED, LATER, ChoreJob, ChoreOutcome, ChoreResult, DoChore
from bot.domain import MessageRef, Status, Thread, User
from bot.domain.chores import Chore
from bot.observability import get_logger
from handlers.answers.message_recovery import answers_among, own_messages
from handlers.answers.thinking_status import SET_STATUS
from handlers.client.errors import TRANSIENT_RESULTS, NotInstalled, SlackError, SlackRejected
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.rate_limits.slack_rates import STOP
from handlers.threads.agent_session import end_session, show_session_title
from handlers.threads.answer_pictures import AnswerPictures
from handlers.threads.api_echo import ApiEcho
from handlers.threads.approvals import Approvals
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.own_messages import with_block
from handlers.threads.private_notices import cannot_write
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.voice_transcripts import VoiceTranscripts
from handlers.views.blocks import api_message_block_id
from storage.answers import Answers
from storage.chats import Chats
from storage.chores import Chores

log = get_logger(__name__)

_UNINSTALLED = {Chore.SHOW_APPROVALS: FAILED}
"""The outcome of chores if the app is not installed and `DONE` would be wrong, because the answer would wait in
vain.
"""
SPARING_TRIES = 2
"""Attempts to show or hide a Stop button during which scarce edits are left to answers; they take a quarter of a
minute.
"""

InThread = Callable[[SlackClient, Thread, ChoreJob], Awaitable[ChoreResult]]
"""Does a chore of an answer in this thread. Raises SlackError."""


class SlackAfterWork:
    """How chores are done in Slack."""

    def __init__(
        self,
        *,
        workspaces: WorkspaceResolver,
        answers: Answers,
        chats: Chats,
        chores: Chores,
        api_echo: ApiEcho,
        queued_reactions: QueuedReactions,
        headers: ChatHeaders,
        transcripts: VoiceTranscripts,
        pictures: AnswerPictures,
        approvals: Approvals,
        names: UserNames,
    ) -> None:
        self._workspaces = workspaces
        self._answers = answers
        self._chats = chats
        self._chores = chores
        self._api_echo = api_echo
        self._queued_reactions = queued_reactions
        self._headers = headers
        self._transcripts = transcripts
        self._pictures = pictures
        self._approvals = approvals
        self._names = names

    def functions(self) -> dict[Chore, DoChore]:
        """For `AfterWork.register`."""
        in_thread: dict[Chore, InThread] = {
            Chore.SHOW_QUESTION: self._show_question,
            Chore.REMOVE_QUEUED_REACTION: self._remove_queued_reaction,
            Chore.CLEAR_STATUS: self._clear_status,
            Chore.END_SESSION: self._end_session,
            Chore.DELETE_LEFTOVERS: self._delete_leftovers,
            Chore.FIND_STRAYS: self._find_stray_messages,
            Chore.SHOW_TRANSCRIPT: self._transcripts.show,
            Chore.SHOW_PICTURES: self._pictures.show,
            Chore.SHOW_TITLE: self._show_title,
            Chore.NAME_SESSION: self._name_session,
            Chore.SHOW_STOP: self._show_stop,
            Chore.HIDE_STOP: self._hide_stop,
            Chore.SHOW_APPROVALS: self._approvals.show_questions,
            Chore.SHOW_DECISIONS: self._approvals.show_outcomes,
            Chore.NOTIFY_REFUSED: self._notify_refused,
        }
        return {
            chore: partial(self._do, work, _UNINSTALLED.get(chore, DONE))
            for chore, work in in_thread.items()
        }

    async def _do(self, work: InThread, uninstalled: ChoreResult, job: ChoreJob) -> ChoreResult:
        """Does a chore in the answer's thread, while this process may."""
        if job.chat.thread is None:
            return DONE
        try:
            slack = (await self._workspaces.client_for(job.chat.team)).fenced(job.confirm)
            return await work(slack, job.chat.thread, job)
        except NotInstalled as error:
            log.info("chore_refused", reason=str(error))
            return uninstalled
        except SlackRejected as error:  # it would be refused again
            log.info("chore_refused", reason=str(error))
            return DONE
        except SlackError as error:
            log.info("chore_failed", reason=str(error))
            return FAILED

    # -- when the answer begins --------------------------------------------------------------------------------

    async def _show_question(
        self, slack: SlackClient, thread: Thread, job: ChoreJob
    ) -> ChoreResult:
        """A dead process may have shown it so late that it was not found; then a second one is removed."""
        await self._api_echo.show(slack, job.chat, job.answer, look_first=job.again)
        return ChoreResult(ChoreOutcome.DONE, then=(Chore.FIND_STRAYS,)) if job.again else DONE

    async def _remove_queued_reaction(
        self, slack: SlackClient, thread: Thread, job: ChoreJob
    ) -> ChoreResult:
        answer = job.answer
        if (
            answer.status is Status.WAITING
        ):  # a Retry in the queue: its mark is removed when it is claimed
            return LATER
        if answer.question_ts is not None:
            reason = await self._queued_reactions.remove(
                slack, thread.channel, answer.question_ts, answer.id
            )
            return _result(reason)
        return DONE

    async def _show_stop(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        shown = await self._headers.show_stop(job.chat, even_if_scarce=job.tries > SPARING_TRIES)
        return DONE if shown else FAILED

    # -- when its text is complete -----------------------------------------------------------------------------

    async def _hide_stop(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        return _result(
            await self._headers.hide_stop(job.chat, even_if_scarce=job.tries > SPARING_TRIES)
        )

    # -- when all of it is visible -----------------------------------------------------------------------------

    async def _clear_status(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        if await self._answers.is_at_work(job.chat.id):
            return DONE  # the status belongs to the next answer
        reason = await slack.try_call_error(
            SET_STATUS, channel_id=thread.channel, thread_ts=thread.ts, status=""
        )
        return _result(reason)

    async def _end_session(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        if await self._answers.is_at_work(job.chat.id):
            return LATER
        return _result(await end_session(slack, thread))

    async def _delete_leftovers(
        self, slack: SlackClient, thread: Thread, job: ChoreJob
    ) -> ChoreResult:
        if await self._answers.is_busy(job.chat.id):  # the answer may be using them again
            return LATER
        answer = await self._answers.get(job.answer.id)
        leftovers = [part for part in answer.slack_messages if part.leftover]
        for part in leftovers:
            await _delete(slack, thread, part)
        await self._chores.forget_leftovers(answer.id, {part.ts for part in leftovers})
        return DONE

    async def _find_stray_messages(
        self, slack: SlackClient, thread: Thread, job: ChoreJob
    ) -> ChoreResult:
        """Deletes messages that no row refers to, and all but the first of those that show the answer's question.

        The database is asked after the thread was read: an answer that begins later cannot have posted any of them.
        """
        own = await own_messages(slack, thread, job.answer)
        if await self._answers.is_busy(job.chat.id):
            return LATER
        chat = await self._chats.get(job.chat.id)
        known = await self._answers.slack_timestamps(chat.id) | {chat.header_ts}
        for ts in answers_among(own):
            if ts not in known:
                await _delete(slack, thread, MessageRef(ts, streaming=True))
        for ts in with_block(own, api_message_block_id(job.answer.question_id))[1:]:
            await _delete(slack, thread, MessageRef(ts, streaming=False))
        return DONE

    async def _notify_refused(
        self, slack: SlackClient, thread: Thread, job: ChoreJob
    ) -> ChoreResult:
        """A process that claimed this notice and was killed holds the claim for a while, so a later attempt waits for
        it.
        """
        asker, code = job.answer.asker, job.answer.refusal
        if asker is None or code is None:
            return DONE
        async with self._names.using_language_of(User(thread.team, asker)):
            notified = await cannot_write(slack, thread, asker, code)
        return DONE if notified or not job.again else FAILED

    # -- when the chat has a title -----------------------------------------------------------------------------

    async def _show_title(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        return _result(await self._headers.show(await self._chats.get(job.chat.id)))

    async def _name_session(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        """Shows the current title: a user may change it during the call, and theirs must win."""
        shown: str | None = None
        reason: str | None = None
        while (title := (await self._chats.get(job.chat.id)).title) != shown:
            reason = await show_session_title(slack, thread, title)
            shown = title
        return _result(reason)


def _result(reason: str | None) -> ChoreResult:
    """`reason`: why a call failed; None if it succeeded. What Slack has rejected, it would reject again."""
    return FAILED if reason in TRANSIENT_RESULTS else DONE


async def _delete(slack: SlackClient, thread: Thread, part: MessageRef) -> None:
    if part.streaming:
        with suppress(SlackRejected):  # it is no longer a stream
            await slack.call_with_retry(STOP, channel=thread.channel, ts=part.ts)
    with suppress(SlackRejected):  # it is gone
        await slack.call_with_retry("chat.delete", channel=thread.channel, ts=part.ts)

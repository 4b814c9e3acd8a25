"""Chats that begin in a dialog: opening it, and bringing what was submitted from its row into a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

from bot import strings
from bot.chats.service import ChatService
from bot.domain import ModelInfo, Thread, User
from bot.errors import ChatError, ChatNotFound, LimitReached, StorageError
from bot.observability import get_logger
from bot.tasks import Tasks
from handlers.client.errors import NotInstalled, OutcomeUnknown, SlackError, SlackRejected
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.text import mrkdwn_escape, plain
from handlers.threads.direct_messages import why_elsewhere
from handlers.threads.model_menu import ModelMenus
from handlers.views import blocks, modals
from handlers.views.modals import DialogTarget
from storage.chat_requests import ChatRequest, ChatRequests

log = get_logger(__name__)

Found = TypeVar("Found")

LOOK_UP = 1.0
"""Seconds that the dialog waits for what it would like to show: Slack's permission to open it lasts three."""
YOUNG = 2.0
"""Seconds in which a question that was submitted is another process's to say, even when this one starts."""
TURN = 1.5
"""Seconds that it waits for its turn."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the dialog shows besides its fields."""

    preselected: ModelInfo | None = None
    there: tuple[str, str] | None = None


class DialogChats:
    def __init__(
        self,
        service: ChatService,
        requests: ChatRequests,
        workspaces: WorkspaceResolver,
        model_menus: ModelMenus,
        names: UserNames,
        tasks: Tasks,
    ) -> None:
        self._service, self._requests, self._workspaces = service, requests, workspaces
        self._model_menus, self._names, self._tasks = model_menus, names, tasks
        self._busy: set[str] = set()

    # -- the dialog --------------------------------------------------------------------------------------------

    def offer(
        self,
        slack: SlackClient,
        user: str,
        trigger: str,
        wanted: DialogTarget,
        *,
        text: str = "",
        about: str = "",
        like: str = "",
    ) -> None:
        """Opens the dialog, and returns at once.

        `about`: a message to be quoted. `like`: id of the chat whose model is carried over.
        """

        async def work() -> None:
            person = User(slack.team, user)
            known, quoted = await asyncio.gather(
                self._in_time(self._known(person, wanted, like), Known()),
                self._in_time(self._names.replace_ids(slack.team, about), about),
            )
            begun = modals.quote(quoted) or text
            view = modals.dialog(
                wanted,
                known.preselected,
                text=begun,
                about_message=bool(about),
                existing_chat=known.there,
            )
            await self._open(slack, trigger, view, wanted.response_url)

        self._tasks.start(work(), name="dialog")

    async def _in_time(self, finding: Awaitable[Found], otherwise: Found) -> Found:
        try:
            return await asyncio.wait_for(finding, LOOK_UP)
        except (TimeoutError, StorageError) as error:
            log.info("dialog_without_something", reason=type(error).__name__)
            return otherwise

    async def _known(self, user: User, wanted: DialogTarget, like: str) -> Known:
        models = self._service.models
        if wanted.thread:
            chat = await self._service.at(Thread(user.team, wanted.channel, wanted.thread))
            if chat is not None:
                return Known(there=(chat.title, models.label(chat.model)))
        info = await self._model_of(user, wanted, like) if like else None
        return Known(info or await models.preselected(user))

    async def _model_of(self, user: User, wanted: DialogTarget, chat_id: str) -> ModelInfo | None:
        """The model of a chat that the person takes part in, or sees in the channel where the button stands."""
        try:
            chat = await self._service.get(chat_id)
            if chat.thread is None or chat.thread != Thread(
                user.team, wanted.channel, chat.thread.ts
            ):
                chat = await self._service.get_for(user, chat_id)
        except ChatNotFound:
            return None
        return self._service.models.info(chat.model)

    async def _open(
        self, slack: SlackClient, trigger: str, view: dict[str, Any], response_url: str
    ) -> None:
        try:
            await asyncio.wait_for(slack.dispatcher.acquire("views.open", ""), TURN)
            await slack.call("views.open", trigger_id=trigger, view=view)
        except OutcomeUnknown as error:  # it may be open
            log.info("dialog_perhaps_open", reason=str(error))
        except (SlackError, TimeoutError) as error:
            log.info("dialog_not_opened", reason=str(error) or "no turn in time")
            await slack.respond(
                response_url,
                response_type="ephemeral",
                replace_original=False,
                text=strings.DIALOG_NOT_OPENED,
            )

    # -- what was submitted ------------------------------------------------------------------------------------

    def begin(self, request: ChatRequest, response_url: str = "") -> None:
        """Brings a submitted question into Slack and starts its chat. Returns at once."""
        self._tasks.start(self._begin(request, response_url), name="chat from dialog")

    async def again(self, older_than: float) -> None:
        """ChatRequests that were submitted and do not stand in Slack yet, since some process ended in between."""
        for request in await self._requests.not_posted(max(older_than, YOUNG), 50):
            self._tasks.start(self._begin(request, look=True), name="chat from dialog")

    async def _begin(
        self, request: ChatRequest, response_url: str = "", *, look: bool = False
    ) -> None:
        if request.id in self._busy:
            return
        self._busy.add(request.id)
        try:
            slack = await self._workspaces.client_for(request.thread.team)
            said = await self._say(slack, request, response_url, look)
            assert said.model is not None
            chosen = await self._service.choose_model(said, said.model)
            await self._model_menus.after_choice(chosen, self._service.models.label(said.model))
        except NotInstalled:
            await self._requests.close(request.id)
        except SlackRejected as error:
            log.warning("dialog_chat_refused", question=request.id, reason=error.code)
            await self._give_up(request, response_url, strings.ASKED_NOWHERE)
        except LimitReached:
            await self._give_up(request, response_url, strings.LIMIT_REACHED)
        except (SlackError, ChatError, StorageError) as error:  # recovery takes it up
            log.warning("dialog_chat_delayed", question=request.id, reason=type(error).__name__)
        finally:
            self._busy.discard(request.id)

    async def _give_up(self, request: ChatRequest, response_url: str, text: str) -> None:
        slack = await self._workspaces.client_for(request.thread.team)
        await self._requests.close(request.id)
        await slack.respond(
            response_url, response_type="ephemeral", replace_original=False, text=text
        )

    async def _say(
        self, slack: SlackClient, request: ChatRequest, response_url: str, look: bool
    ) -> ChatRequest:
        """Where it was wanted, else in the direct messages. Raises SlackRejected, Unsure, StorageError."""
        wanted, reason = request.thread, ""
        if wanted.channel:
            try:
                chat = await self._service.at(wanted) if wanted.ts else None
                said = await self._post(slack, request, look=look)
                return (
                    said
                    if chat or not wanted.ts
                    else await self._model_menus.with_context(slack, said, said.source)
                )
            except SlackRejected as error:
                log.info("dialog_chat_elsewhere", question=request.id, reason=error.code)
                reason = why_elsewhere(wanted.channel, error.code)
        direct = await slack.call_with_retry("conversations.open", users=request.user)
        channel = str(direct["channel"]["id"])
        moved = await self._requests.set_thread(request.id, Thread(wanted.team, channel, ""), None)
        note = (
            strings.ASKED_HERE.format(reason=reason) if reason and channel != wanted.channel else ""
        )
        said = await self._post(slack, moved, note, look=look)
        if note:
            link = mrkdwn_escape(slack.permalink(channel, said.thread.ts, said.thread.ts))
            text = strings.ASKED_IN_DIRECT.format(reason=reason, link=link)
            await slack.respond(
                response_url, response_type="ephemeral", replace_original=False, text=text
            )
        return said

    async def _post(
        self, slack: SlackClient, request: ChatRequest, note: str = "", *, look: bool = False
    ) -> ChatRequest:
        """Posts the question once. `look`: another process may have posted it already."""
        place = request.thread
        thread: dict[str, Any] = {"thread_ts": place.ts} if place.ts else {}
        ts = await post_message_once(
            slack,
            lambda: self._find(slack, request),
            look_first=look,
            channel=place.channel,
            blocks=modals.dialog_question(request, note),
            text=f"{strings.ASKED.format(user=request.user)} {plain(request.text or '', 300)}",
            unfurl_links=False,
            unfurl_media=False,
            **thread,
        )
        return await self._requests.set_thread(
            request.id, Thread(place.team, place.channel, place.ts or ts), ts
        )

    async def _find(self, slack: SlackClient, request: ChatRequest) -> str | None:
        """The ts of the posted question, if an attempt whose outcome is unknown did post it."""
        thread, after = request.thread, f"{request.created_at.timestamp() - 60:.6f}"
        if thread.ts:
            found = await slack.own_messages(thread.channel, thread.ts, after)
        else:
            found = await slack.own_roots(thread.channel, after)
        return next(
            (
                str(m["ts"])
                for m in found
                if blocks.has_block(m, modals.question_block_id(request.id))
            ),
            None,
        )

"""The message in a thread that is first the menu of models and then the chat's header."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

from bot import strings
from bot.chats.messages import ModelChoiceOutcome, ModelChosen
from bot.chats.service import ChatService
from bot.domain import Chat, ModelInfo, User
from bot.errors import ChatError, LimitReached
from bot.observability import get_logger
from handlers.client.errors import NotInstalled, OutcomeUnknown, SlackError, SlackRejected
from handlers.client.user_names import UserNames
from handlers.client.web_api import LATE, SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.text import plain
from handlers.threads.agent_session import show_session_title
from handlers.threads.direct_messages import cannot_write
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.thread_context import recap
from handlers.views import blocks
from storage.chat_requests import ChatRequest, ChatRequests
from storage.chats import Chats, StoredMessage

log = get_logger(__name__)

READ_FIRST = 0.7
"""Seconds that the menu waits for what was said before in the thread: read meanwhile, it is there when one chooses."""
READ_AT_MOST = 30.0
READ_FOR_CHOICE = 15.0
"""Seconds that the start of a chat waits for it, once a model is chosen."""
POST_AGAIN_FOR = 900.0
"""Seconds in which a message is posted again whose fate Slack does not tell."""
YOUNG = 2.0
"""Seconds in which a header is another process's to post, even when this one starts."""
HEADERS_OF = 900.0
"""Seconds after a question in which its chat's header is looked for, and put there if it is missing."""
HEADERS_AT_START = 86_400.0
"""The same for a process that starts: nobody may have looked for as long as that."""
CROWDED = 0.5
"""When less than this share of Slack's edits is left, headers go another way that costs none."""


class ModelMenus:
    def __init__(
        self,
        service: ChatService,
        requests: ChatRequests,
        chats: Chats,
        workspaces: WorkspaceResolver,
        names: UserNames,
        queued_reactions: QueuedReactions,
    ) -> None:
        self._service, self._requests, self._chats = service, requests, chats
        self._workspaces, self._names, self._queued_reactions = workspaces, names, queued_reactions
        self._offering: set[str] = set()
        self._offered_again: dict[str, tuple[ChatRequest, float]] = {}
        self._heading: set[str] = set()
        self._starting: set[str] = set()
        self._readings: dict[str, asyncio.Task[ChatRequest]] = {}
        self._drawing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def offer(self, request: ChatRequest) -> None:
        """Puts the menu into the thread; or starts at once for those who always use their model."""
        if request.id in self._offering:
            return
        self._offering.add(request.id)
        try:
            await self._offer(request)
        finally:
            self._offering.discard(request.id)

    async def _slack_of(self, request: ChatRequest) -> SlackClient | None:
        """None where the app is not installed any more: nobody waits for a menu there."""
        try:
            return await self._workspaces.client_for(request.thread.team)
        except NotInstalled:
            await self._requests.close(request.id)
            return None

    async def _offer(self, request: ChatRequest) -> None:
        if (slack := await self._slack_of(request)) is None:
            return
        try:
            if await self._joined(slack, request):
                return
            async with self._reading(slack, request) as reading:
                own = await self._service.always(request)
                if own is not None:
                    await asyncio.wait(reading, timeout=READ_AT_MOST) if reading else None
                    await self._skip_menu(slack, request, own)
                    return
                preselected = await self._service.models.preselected(
                    User(request.thread.team, request.user)
                )
                ts = await self._post(
                    slack, request, blocks.menu(request, preselected), strings.MENU_FALLBACK
                )
                kept = await self._requests.set_menu(request.id, ts)
                if kept.menu_ts not in (None, ts):  # another process was quicker
                    await slack.try_call("chat.delete", channel=request.thread.channel, ts=ts)
        except SlackRejected as error:  # whatever the reason, asking again would be refused again
            await self._requests.close(request.id)
            log.warning("menu_refused", question=request.id, reason=error.code)
            await cannot_write(slack, request.thread, request.user, error.code)
        except (SlackError, ChatError) as error:
            log.warning("menu_not_posted", question=request.id, reason=type(error).__name__)

    async def _joined(self, slack: SlackClient, request: ChatRequest) -> bool:
        """Whether it needs no menu of its own: the thread has its chat by now, or this person's menu stands there."""
        try:
            joined = await self._service.join(request)
        except LimitReached as full:
            await self._requests.close(request.id)
            await slack.try_call(
                "chat.postEphemeral", channel=request.thread.channel, thread_ts=request.thread.ts,
                user=request.user, text=strings.LIMIT_REACHED, blocks=blocks.limit_reached(str(full)),
            )  # fmt: skip
            return True
        if joined is None:
            return False
        if joined.said is not None and joined.said.queued:
            self._queued_reactions.put(
                slack, request.thread.channel, request.ts, joined.said.answer.id
            )
        elif joined.said is None and joined.request.menu_ts is not None:
            await self._requests.set_menu(request.id, joined.request.menu_ts)
        return True

    @asynccontextmanager
    async def _reading(
        self, slack: SlackClient, request: ChatRequest
    ) -> AsyncIterator[list[asyncio.Task[ChatRequest]]]:
        """The thread so far is being read meanwhile, where there is one."""
        if not request.needs_context:
            yield []
            return
        reading = [asyncio.create_task(self.with_context(slack, request), name="thread so far")]
        self._readings[request.id] = reading[0]
        try:
            await asyncio.wait(reading, timeout=READ_FIRST)
            yield reading
            await asyncio.wait(reading, timeout=READ_AT_MOST)
        finally:
            for task in reading:
                task.cancel()
            self._readings.pop(request.id, None)
            await asyncio.gather(*reading, return_exceptions=True)

    async def start_when_read(self, request: ChatRequest, response_url: str | None = None) -> None:
        """Starts the chat of a question whose model is chosen, as soon as the thread so far is known.

        Raises LimitReached.
        """
        if request.id in self._starting or (slack := await self._slack_of(request)) is None:
            return
        assert request.model is not None
        self._starting.add(request.id)
        try:
            if (begun := self._readings.get(request.id)) is not None:
                await asyncio.wait([begun], timeout=READ_FOR_CHOICE)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.with_context(slack, request), READ_FOR_CHOICE)
            chosen = await self._service.choose_model(request, request.model)
            await self.after_choice(chosen, self._service.models.label(request.model), response_url)
        finally:
            self._starting.discard(request.id)

    async def _skip_menu(self, slack: SlackClient, request: ChatRequest, own: ModelInfo) -> None:
        chosen = await self._service.choose_model(request, own.ref)
        if chosen.outcome is ModelChoiceOutcome.NEEDS_TEXT:
            waiting = blocks.waiting_for_text(request, own.label)
            ts = await self._post(slack, request, waiting, strings.WAITING_FOR_TEXT)
            await self._requests.set_menu(request.id, ts)
        else:
            await self.after_choice(chosen, own.label)

    async def offer_again(self, older_than: float) -> None:
        """ChatRequests whose menu Slack never confirmed, and those that have all they need and yet did not start."""
        for request in await self._requests.without_menu(older_than, 50):
            if request.id in self._offering:  # Slack keeps it waiting, that is all
                continue
            if (slack := await self._slack_of(request)) is None:
                continue
            try:
                if await self._joined(slack, request):
                    continue
                if (ts := await self._find(slack, request)) is not None:
                    await self._requests.set_menu(request.id, ts)
                    continue
            except (SlackError, ChatError) as error:
                log.warning(
                    "menu_not_found_again", question=request.id, reason=type(error).__name__
                )
                continue
            self._offered_again[request.id] = request, time.monotonic()
            await self.offer(request)
        for request in await self._requests.ready_to_start(older_than, 50):
            assert request.model is not None
            try:
                if request.needs_context:
                    await self.start_when_read(request)
                    continue
                chosen = await self._service.choose_model(request, request.model)
            except LimitReached:
                await self._requests.close(request.id)
                continue
            await self.after_choice(chosen, self._service.models.label(request.model))

    async def tidy(self) -> None:
        """ChatRequests that were offered again may have two menus: whoever posted the first may have died of it."""
        for request, since in list(self._offered_again.values()):
            if time.monotonic() - since < LATE:
                continue
            if await self._tidied(request):
                del self._offered_again[request.id]

    async def _tidied(self, request: ChatRequest) -> bool:
        """Whether nothing is left to look for; while it cannot be looked it is tried again."""
        now = await self._requests.get(request.id)
        if now.menu_ts is None or (slack := await self._slack_of(request)) is None:
            return not now.open
        try:
            for ts in await self._all(slack, request, blocks.menu_block_id(request.id)):
                if ts != now.menu_ts:
                    await slack.try_call("chat.delete", channel=request.thread.channel, ts=ts)
        except SlackError as error:
            return isinstance(error, SlackRejected)
        return True

    async def after_choice(
        self, chosen: ModelChosen, label: str, response_url: str | None = None
    ) -> None:
        """Turns the menu into the header, or into the request for a question."""
        if (slack := await self._slack_of(chosen.request)) is None:
            return
        if chosen.said is not None:
            chat = chosen.said.chat
            for said in (chosen.said, *chosen.also):
                await self._spell_out(said)
                if said.queued and said.answer.question_ts is not None:
                    self._queued_reactions.put(
                        slack,
                        chosen.request.thread.channel,
                        said.answer.question_ts,
                        said.answer.id,
                    )
            if chat.header_ts is None and chosen.request.menu_ts is None:
                await self._post_header(slack, chosen.request, chat)
            else:
                where = chosen.request.menu_ts or chat.header_ts
                assert where is not None
                if (
                    await self._draw_header(slack, chat.id, where, response_url)
                    and chosen.request.menu_ts is not None
                ):
                    await self._requests.mark_header_shown(chosen.request.id)
        elif chosen.request.menu_ts is not None:
            waiting = blocks.waiting_for_text(chosen.request, label)
            thread = chosen.request.thread
            await self._replace(
                slack,
                thread.channel,
                chosen.request.menu_ts,
                waiting,
                strings.WAITING_FOR_TEXT,
                response_url,
            )

    async def _spell_out(self, said: StoredMessage) -> None:
        """Names that became known while the question was becoming a message."""
        thread, message = said.chat.thread, said.message
        text = await self._names.replace_ids(said.chat.team, message.text, ask=False)
        if text != message.text and thread is not None and message.source is not None:
            await self._chats.replace_text(thread, message.source, message.text, text)

    async def after_fill(self, request: ChatRequest, said: StoredMessage) -> None:
        """The question came after the choice: the menu becomes the header now."""
        label = self._service.models.label(said.chat.model)
        await self.after_choice(ModelChosen(ModelChoiceOutcome.STARTED, request, said), label)

    async def show_title(self, chat: Chat) -> None:
        """Brings a title that a model has written into the header, and to where Slack lists its conversations."""
        if chat.thread is None:
            return
        try:
            slack = await self._workspaces.client_for(chat.team)
        except NotInstalled:
            return
        await self.show_header(chat)
        while True:
            await show_session_title(slack, chat.thread, chat.title)
            now = await self._chats.get(chat.id)
            if now.title == chat.title:
                return
            chat = now  # a person was quicker: theirs must not give way to the model's

    async def show_header(self, chat: Chat) -> None:
        """Draws the header again: something that it shows has changed."""
        if chat.thread is not None and chat.header_ts is not None:
            with suppress(NotInstalled):
                await self._draw_header(
                    await self._workspaces.client_for(chat.team), chat.id, chat.header_ts
                )

    # -- messages ----------------------------------------------------------------------------------------------

    async def _draw_header(
        self, slack: SlackClient, chat_id: str, ts: str, response_url: str | None = None
    ) -> bool:
        """One at a time and from what is stored now, so that a title never gives way to an older one."""
        async with self._drawing.setdefault(chat_id, asyncio.Lock()):
            chat = await self._chats.get(chat_id)
            content = await self._header(chat)
            channel = chat.thread.channel if chat.thread else ""
            return await self._replace(slack, channel, ts, content, chat.title, response_url)

    async def _post_header(
        self, slack: SlackClient, request: ChatRequest, chat: Chat, *, look: bool = False
    ) -> None:
        if chat.id in self._heading:
            return
        self._heading.add(chat.id)
        try:
            content = await self._header(chat)
            ts = await self._find(slack, request, content[0]["block_id"]) if look else None
            ts = ts or await self._post(slack, request, content, plain(chat.title, 300))
        except SlackError as error:  # the answer has its own ways to say so
            log.warning("header_not_posted", chat=chat.id, reason=str(error))
            return
        finally:
            self._heading.discard(chat.id)
        now = await self._chats.get(chat.id)
        if now.header_ts not in (None, ts):  # another process was quicker
            await slack.try_call("chat.delete", channel=request.thread.channel, ts=ts)
            return
        await self._chats.set_header(chat.id, ts)
        if now.title != chat.title:
            await self._draw_header(slack, chat.id, ts)

    async def head_again(self, older_than: float) -> None:
        """Chats that have no header, since a process ended before it could post one."""
        within = HEADERS_OF if older_than else HEADERS_AT_START
        for request, chat_id in await self._requests.without_header(
            max(older_than, YOUNG), within, 50
        ):
            slack = await self._slack_of(request)
            if slack is None or not slack.at_most_every("header", chat_id, every=HEADERS_AT_START):
                continue
            await self._post_header(slack, request, await self._chats.get(chat_id), look=True)

    async def draw_again(self, older_than: float) -> None:
        """Menus that a chat began from and that still stand there as menus, since a process ended just then."""
        for request, chat_id in await self._requests.header_not_shown(
            max(older_than * 3, YOUNG), HEADERS_OF, 50
        ):
            slack = await self._slack_of(request)
            if (
                slack is None
                or request.menu_ts is None
                or not slack.at_most_every("drawn", chat_id, every=HEADERS_OF)
            ):
                continue
            if await self._draw_header(slack, chat_id, request.menu_ts):
                await self._requests.mark_header_shown(request.id)

    async def _header(self, chat: Chat) -> list[dict[str, Any]]:
        hint = strings.HEADER_ALWAYS if await self._service.skipped_menu(chat) else ""
        return blocks.header(chat, self._service.models.label(chat.model), hint)

    async def _post(
        self, slack: SlackClient, request: ChatRequest, content: list[dict[str, Any]], text: str
    ) -> str:
        """Posts once, even when Slack's answer gets lost."""
        pause, deadline = 0.1, time.monotonic() + POST_AGAIN_FOR
        while True:
            try:
                answer = await slack.call_with_retry(
                    "chat.postMessage",
                    again_if_unsure=False,
                    channel=request.thread.channel,
                    thread_ts=request.thread.ts,
                    blocks=content,
                    text=text,
                )
                return str(answer["ts"])
            except OutcomeUnknown:
                if (ts := await self._find(slack, request, content[0]["block_id"])) is not None:
                    return ts
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(15.0, pause * 2)

    async def _find(
        self, slack: SlackClient, request: ChatRequest, block_id: str | None = None
    ) -> str | None:
        """A menu, or the message that begins with this block, which was posted although nobody told us."""
        try:
            return next(
                iter(await self._all(slack, request, block_id or blocks.menu_block_id(request.id))),
                None,
            )
        except SlackRejected:
            return None

    async def _all(self, slack: SlackClient, request: ChatRequest, block_id: str) -> list[str]:
        thread = request.thread
        found = await slack.own_messages(thread.channel, thread.ts, request.mention_ts or thread.ts)
        return [str(message["ts"]) for message in found if blocks.has_block(message, block_id)]

    async def _replace(
        self,
        slack: SlackClient,
        channel: str,
        ts: str,
        content: list[dict[str, Any]],
        text: str,
        response_url: str | None,
    ) -> bool:
        fallback = plain(text, 300)
        crowded = (
            slack.dispatcher.free("chat.update") < slack.dispatcher.burst("chat.update") * CROWDED
        )
        if crowded and await slack.respond(
            response_url, replace_original=True, blocks=content, text=fallback
        ):
            return True
        return await slack.try_call(
            "chat.update", channel=channel, ts=ts, blocks=content, text=fallback
        )

    # -- the thread so far -------------------------------------------------------------------------------------

    async def with_context(
        self, slack: SlackClient, request: ChatRequest, until: str | None = None
    ) -> ChatRequest:
        """What people had said in the thread before they turned to Bobbin, which was with the message `until`.

        Where the thread cannot be read, the question stays as it is.
        """
        try:
            before = await recap(slack, self._names, request.thread, until or request.ts)
        except SlackError as error:
            log.info("thread_not_readable", question=request.id, reason=str(error))
            return request
        own = {file.id for file in request.files}
        files = tuple(file for file in before.files if file.id not in own)
        return await self._requests.set_context(request.id, before.text, files)

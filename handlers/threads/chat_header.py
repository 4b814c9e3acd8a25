"""The chat's header: the message in the thread that shows title, model and owner, and has a Stop button while there is
an answer to stop.

Usually the menu becomes the header. A chat that started without a menu gets its own header message.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from bot import sentences, strings
from bot.chats.models import ModelChoice
from bot.chats.service import ChatService
from bot.chats.successors import Neighbours, SuccessorService
from bot.domain import Chat, User
from bot.observability import get_logger
from bot.timing import Timing
from handlers.client.errors import NotInstalled, SlackError, TooLate
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.rate_limits.urgency import Urgency
from handlers.threads.thread_messages import (
    MAX_FALLBACK_LENGTH,
    ThreadMessages,
    delete_message,
    message,
)
from handlers.threads.unfinished import Unfinished
from handlers.views import chat_header
from handlers.views.blocks import Block
from storage.chat_requests import ChatRequest, ChatRequests
from storage.chats import Chats
from storage.stop_buttons import StopButtons

log = get_logger(__name__)

RECOVERY_PERIOD = 900.0
"""Seconds after a request during which recovery looks for its chat's header, and posts it if it is missing."""
RECOVERY_PERIOD_AT_START = 86_400.0
"""The same for a starting process, before which none may have been running."""
RECOVERY_BATCH = 100
MAX_QUESTION_LENGTH = 500
"""Characters of the question shown in a branch."""
FEW_ANSWERS = 3
"""With this many answers or fewer in a workspace, there are enough edits to show and hide a Stop button immediately."""


class ChatHeaders:
    def __init__(
        self,
        *,
        service: ChatService,
        requests: ChatRequests,
        chats: Chats,
        successors: SuccessorService,
        stop_buttons: StopButtons,
        models: ModelChoice,
        workspaces: WorkspaceResolver,
        messages: ThreadMessages,
        names: UserNames,
        timing: Timing,
    ) -> None:
        self._service = service
        self._requests = requests
        self._chats = chats
        self._successors = successors
        self._stop_buttons = stop_buttons
        self._models = models
        self._workspaces = workspaces
        self._messages = messages
        self._names = names
        self._timing = timing
        self._posting: set[str] = set()

    async def show(self, chat: Chat, urgency: Urgency = Urgency.DECORATION) -> str | None:
        """Updates the header after a change to what it shows; returns why that failed."""
        if chat.thread is not None and chat.header_ts is not None:
            with suppress(NotInstalled):
                slack = await self._workspaces.client_for(chat.team)
                return await self._draw(slack, chat, chat.header_ts, urgency=urgency)
        return None

    async def show_stop(self, chat: Chat, *, even_if_scarce: bool) -> bool:
        """Adds the Stop button, if an answer of the chat is being written. False if it must be tried again.

        `even_if_scarce`: also when the answers in progress need more edits than Slack allows.
        """
        slack = await self._workspaces.client_for(chat.team)
        if self._edits_are_scarce(slack) and not even_if_scarce:
            return not await self._stop_buttons.is_wanted(chat.id)
        if await self._stop_buttons.set_shown(chat.id):
            await self.show(chat, Urgency.ANSWER)
        return True

    async def hide_stop(self, chat: Chat, *, even_if_scarce: bool) -> str | None:
        """Removes the Stop button, unless another answer is being written; returns why that failed.

        `even_if_scarce`: also when the answers in progress need more edits than Slack allows; otherwise the next change
        of the header, such as a new title, removes it.
        """
        if not chat.stop_shown or await self._stop_buttons.is_wanted(chat.id):
            return None
        slack = await self._workspaces.client_for(chat.team)
        if self._edits_are_scarce(slack) and not even_if_scarce:
            return TooLate.result
        return await self.show(chat)

    def _edits_are_scarce(self, slack: SlackClient) -> bool:
        return self._messages.crowded(slack) and slack.dispatcher.writing > FEW_ANSWERS

    async def show_started(
        self, slack: SlackClient, request: ChatRequest, chat: Chat, response_url: str | None
    ) -> None:
        """Turns the menu of a chat that has just started into its header, or posts a header if there was no menu."""
        ts = request.menu_ts or chat.header_ts
        if ts is None:
            await self._post(slack, request, chat)
            return
        failure = await self._draw(slack, chat, ts, response_url, Urgency.REPLY)
        if failure is None and request.menu_ts is not None:
            await self._service.mark_header_shown(request.id)

    # -- recovery ----------------------------------------------------------------------------------------------

    async def missing(self, min_age: float) -> list[Unfinished]:
        """Headers that a dead process has not posted. `min_age`: of their chats' requests, in seconds."""
        period = RECOVERY_PERIOD if min_age else RECOVERY_PERIOD_AT_START
        missing = await self._requests.without_header(
            max(min_age, self._timing.header_min_age), period, RECOVERY_BATCH
        )
        return [
            Unfinished("header", id, request.thread.team, partial(self._post_again, request, id))
            for request, id in missing
        ]

    async def _post_again(self, request: ChatRequest, chat_id: str) -> None:
        slack = await self._messages.client_for(request)
        if slack is not None and slack.at_most_every(
            "header", chat_id, every=RECOVERY_PERIOD_AT_START
        ):
            chat = await self._chats.get(chat_id)
            await self._post(slack, request, chat, look_first=True)

    async def not_drawn(self, min_age: float) -> list[Unfinished]:
        """Menus that should become headers, whose process died after the chat started."""
        missing = await self._requests.header_not_shown(
            max(min_age * 3, self._timing.header_min_age), RECOVERY_PERIOD, RECOVERY_BATCH
        )
        return [
            Unfinished("drawing", id, request.thread.team, partial(self._draw_again, request, id))
            for request, id in missing
        ]

    async def _draw_again(self, request: ChatRequest, chat_id: str) -> None:
        slack = await self._messages.client_for(request)
        if slack is None or request.menu_ts is None:
            return
        if not slack.at_most_every("drawn", chat_id, every=RECOVERY_PERIOD):
            return
        chat = await self._chats.get(chat_id)
        if await self._draw(slack, chat, request.menu_ts) is None:
            await self._service.mark_header_shown(request.id)

    # -- the message -------------------------------------------------------------------------------------------

    async def _draw(
        self,
        slack: SlackClient,
        chat: Chat,
        ts: str,
        response_url: str | None = None,
        urgency: Urgency = Urgency.DECORATION,
    ) -> str | None:
        """Redraws a header from what is stored when its turn comes, so that no older title replaces a newer one.

        Returns why that failed.
        """
        drawn: list[list[Block]] = []
        failure = await self._messages.replace(
            slack,
            channel=chat.thread.channel if chat.thread else "",
            ts=ts,
            draw=partial(self._drawn, chat.id, drawn),
            urgency=urgency,
            response_url=response_url,
        )
        if failure is None and drawn:
            await self._note_stop(slack, chat, ts, drawn[-1])
        return failure

    async def _drawn(self, chat_id: str, drawn: list[list[Block]]) -> dict[str, Any]:
        """The message's arguments; their blocks are added to `drawn`."""
        chat = await self._chats.get(chat_id)
        drawn.append(await self.content(chat))
        return message(drawn[-1], await self._title(chat))

    async def _note_stop(self, slack: SlackClient, chat: Chat, ts: str, shown: list[Block]) -> None:
        """Stores that the header has no Stop button, or adds one if an answer has begun in the meantime."""
        if chat_header.has_stop(shown) or not chat.stop_shown:
            return
        if not await self._stop_buttons.set_hidden(chat.id):
            current = await self._chats.get(chat.id)
            if current.stop_shown:
                await self._draw(slack, current, ts)

    async def _post(
        self, slack: SlackClient, request: ChatRequest, chat: Chat, *, look_first: bool = False
    ) -> None:
        if chat.id in self._posting:
            return
        self._posting.add(chat.id)
        try:
            content = await self.content(chat)
            text = plain(await self._title(chat), MAX_FALLBACK_LENGTH)
            ts = await self._messages.post(slack, request, content, text, look_first=look_first)
        except SlackError as error:  # the answer reports what prevents it from being shown
            log.warning("header_not_posted", chat=chat.id, reason=str(error))
            return
        finally:
            self._posting.discard(chat.id)
        await self._keep(slack, request, chat, ts)
        await self._note_stop(slack, chat, ts, content)

    async def _keep(self, slack: SlackClient, request: ChatRequest, chat: Chat, ts: str) -> None:
        """Stores which message is the header, unless another process was quicker."""
        current = await self._chats.get(chat.id)
        if current.header_ts not in (None, ts):
            await delete_message(slack, request.thread.channel, ts)
            return
        await self._service.set_header(chat.id, ts)
        if current.title != chat.title:
            await self._draw(slack, current, ts)

    async def content(self, chat: Chat) -> list[Block]:
        """The header's blocks, from what is stored now. Raises NotInstalled."""
        async with self._names.using_language_of(User(chat.team, chat.owner)):
            return await self._content(chat)

    async def _title(self, chat: Chat) -> str:
        """The text that notifications show for the header."""
        async with self._names.using_language_of(User(chat.team, chat.owner)):
            return sentences.title(chat)

    async def _content(self, chat: Chat) -> list[Block]:
        skipped = _began_with_a_question(chat) and await self._service.skipped_menu(chat)
        return chat_header.header(
            chat,
            self._models.label(chat.model),
            strings.HEADER_ALWAYS if skipped else "",
            options=self._models.options_in(chat),
            links=await self._links(chat),
            summary=(chat.thread_context or "") if chat.continues else "",
            stop=chat.stop_shown and await self._stop_buttons.is_wanted(chat.id),
        )

    async def _links(self, chat: Chat) -> list[str]:
        """Links to the chats that this one came from or led to."""
        neighbours = await self._successors.neighbours(chat)
        links = [await self._origin(chat, before) for before in (neighbours.before,) if before]
        if neighbours.question is not None:
            links.append(f"> {mrkdwn_escape(plain(neighbours.question.text, MAX_QUESTION_LENGTH))}")
        if neighbours.after is not None and (link := await self.link(neighbours.after)):
            links.append(strings.CONTINUED_IN.format(link=link))
        return [*links, *await self._branches(neighbours)]

    async def _origin(self, chat: Chat, before: Chat) -> str:
        link = await self.link(before)
        if chat.branch_of is None:
            template = strings.CONTINUED_FROM if link else strings.CONTINUED_FROM_API
        else:
            template = strings.BRANCH_OF if link else strings.BRANCH_OF_API
        names = {"title": sentences.title(before), "model": self._models.label(chat.model)}
        shown = {key: mrkdwn_escape(plain(name, 150)) for key, name in names.items()}
        return template.format(link=link, **shown)

    async def _branches(self, neighbours: Neighbours) -> list[str]:
        links = []
        for branch in neighbours.branches:
            if link := await self.link(branch):
                model = mrkdwn_escape(plain(self._models.label(branch.model), 150))
                links.append(strings.BRANCH_LINK.format(link=link, model=model))
        return [strings.BRANCHED_TO.format(links=", ".join(links))] if links else []

    async def link(self, chat: Chat) -> str:
        """The address of the chat's thread, escaped for mrkdwn; empty for a chat without one. Raises NotInstalled."""
        if chat.thread is None:
            return ""
        slack = await self._workspaces.client_for(chat.team)
        thread = chat.thread
        return mrkdwn_escape(slack.permalink(thread.channel, thread.ts, thread.ts))


def _began_with_a_question(chat: Chat) -> bool:
    return chat.continues is None and chat.branch_of is None

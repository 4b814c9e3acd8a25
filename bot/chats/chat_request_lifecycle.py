"""A chat request, which is a question whose chat does not exist yet, from the mention to the chat.

    mention                                                     dialog submitted
       │                                                               │
       ▼                                                               ▼
     ASKED ──menu posted──▶ MENU_SHOWN                             SUBMITTED
       │                        │                                      │
       └─────model selected─────┤                                      │
                ┌───────────────┼──────────────────┐                   │
                ▼               ▼                  │                   │
        WAITING_FOR_TEXT   WAITING_FOR_CONTEXT     │            question posted
                │               │                  │                   │
           text given      context read            │                   │
                │          or timed out            ▼                   │
                └───────────────┴─────────────▶  READY  ◀──────────────┘
                                                   │ chat started
                                                   ▼
    every open state ──given up──▶ GIVEN_UP     STARTED

Files without text end the wait for the text too. A question that is moved to another channel stays `SUBMITTED`.

A request is a row from the moment that Slack delivers the mention. `state_of` derives its state from the row's columns.
`RequestLifecycle.advance` is the one function that moves a request from state to state. Every UPDATE behind it applies
to open requests only, so that processes that race end in the same state. Only the start of the chat
(`bot.chats.chat_request_service`) is a transaction of its own: the first message of a chat is unique in the database,
which makes STARTED happen once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.domain import ModelRef, SharedFile, Thread
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from storage.chat_requests import ChatRequest, ChatRequests


class RequestState(StrEnum):
    """What a chat request is waiting for."""

    ASKED = "asked"
    """Its menu is not known to be in Slack."""
    MENU_SHOWN = "menu shown"
    """The user has yet to choose a model."""
    SUBMITTED = "submitted"
    """It was submitted in a dialog, and its question is not in Slack yet."""
    WAITING_FOR_TEXT = "waiting for text"
    """A model was chosen, and the mention had no text: the user's next message is the question."""
    WAITING_FOR_CONTEXT = "waiting for context"
    """Complete except for the rest of the thread, which is being read."""
    READY = "ready"
    """The chat can start."""
    STARTED = "started"
    """The question is a message of a chat."""
    GIVEN_UP = "given up"
    """No chat will come of it."""


def state_of(request: ChatRequest) -> RequestState:
    """The state, derived from the columns of the request's row."""
    if not request.open:
        return RequestState.GIVEN_UP if request.message_id is None else RequestState.STARTED
    if request.text is not None and request.source is None:
        return RequestState.SUBMITTED
    if request.model is None:
        return RequestState.ASKED if request.menu_ts is None else RequestState.MENU_SHOWN
    if request.text is None and not request.files:
        return RequestState.WAITING_FOR_TEXT
    return RequestState.WAITING_FOR_CONTEXT if request.needs_context else RequestState.READY


@dataclass(frozen=True, slots=True)
class MenuPosted:
    """The menu is in Slack. The first known menu belongs to the request; a second one is a duplicate."""

    ts: str


@dataclass(frozen=True, slots=True)
class ModelSelected:
    model: ModelRef
    options: ModelOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class TextGiven:
    """A message of the user is the question. The first one counts: `ChatRequest.source` identifies it."""

    source: str
    """Its ts."""
    text: str = field(repr=False)
    files: tuple[SharedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class FilesAdded:
    """A message of the user adds files to the question. Repeating the event adds nothing."""

    files: tuple[SharedFile, ...]
    text: str = field(default="", repr=False)
    """What was written with them."""


@dataclass(frozen=True, slots=True)
class ContextRead:
    """The thread was read: messages from before the question, and since then."""

    text: str = field(repr=False)
    files: tuple[SharedFile, ...] = ()
    since: str = field(default="", repr=False)
    until: str | None = None
    """Ts of the newest message that was read."""
    quoted: frozenset[str] = frozenset()
    """Slack ids of others who said or shared some of it."""


@dataclass(frozen=True, slots=True)
class QuestionMoved:
    """The question of a dialog will be posted elsewhere: in a new thread in this channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class QuestionPosted:
    """The question of a dialog is in Slack."""

    ts: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The chat cannot start, for instance because its channel is gone."""


RequestEvent = (
    MenuPosted
    | ModelSelected
    | TextGiven
    | FilesAdded
    | ContextRead
    | QuestionMoved
    | QuestionPosted
    | GivenUp
)


class RequestLifecycle:
    """Moves chat requests from state to state. Raises StorageError when the database fails; then nothing has
    changed.
    """

    def __init__(self, requests: ChatRequests) -> None:
        self._requests = requests

    async def advance(self, request: ChatRequest, event: RequestEvent) -> ChatRequest:
        """Applies an event, and returns the resulting request. A request that is not open stays as it is."""
        match event:
            case MenuPosted(ts):
                return await self._requests.set_menu(request.id, ts)
            case ModelSelected(model, options):
                return await self._requests.set_model(request.id, model, options)
            case TextGiven(source, text, files):
                filled = await self._requests.set_text(
                    request.id, text=text, source=source, files=files
                )
                return filled or await self._requests.get(request.id)
            case FilesAdded(files, text):
                return await self._requests.add_files(request.id, text, files)
            case ContextRead(text, files, since, until, quoted):
                return await self._requests.set_context(
                    request.id, text, files, since=since or None, until=until, quoted=quoted
                )
            case QuestionMoved(channel):
                thread = Thread(request.thread.team, channel, "")
                return await self._requests.set_thread(request.id, thread, None)
            case QuestionPosted(ts):
                thread = replace(request.thread, ts=request.thread.ts or ts)
                return await self._requests.set_thread(request.id, thread, ts)
            case GivenUp():
                return await self._requests.close(request.id)

"""What API clients may do with the chats of the token's user."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from bot import english_strings
from bot.access.chat_access import ChatAccess
from bot.chats.announcing import Announce
from bot.chats.approvals import ApprovalService
from bot.chats.attachments import rules
from bot.chats.attachments.fitting import ImageFitter
from bot.chats.attachments.rules import TextFile, VoiceTranscript
from bot.chats.attachments.sent_files import SentFile, SentFiles
from bot.chats.branches import BranchService
from bot.chats.continuations import ContinueService
from bot.chats.export import Exporter
from bot.chats.models import ModelChoice
from bot.domain import (
    DEFAULT_TITLE,
    PDF,
    Answer,
    AnswerResult,
    Chat,
    Image,
    Message,
    ModelInfo,
    ModelRef,
    Role,
    Status,
    User,
)
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.errors import (
    ChatBusy,
    ChatNotFound,
    FileProblem,
    InvalidInput,
    NothingToRetry,
)
from bot.runtime.memory import MemoryBudget, MemoryReservation
from bot.usage.calls import Payer, payer_of
from storage.action_claims import ActionClaims
from storage.answers import Answers
from storage.chats import Chats
from storage.messages import NewMessage, StoredMessage
from storage.people import People
from storage.pictures import Picture, Pictures
from storage.statements.chat_list import ChatPage

API_SOURCE = "api:"
"""The prefix of the source of every message from an API client."""
READING = "files of a message"
READING_SECONDS = 8.0
"""Seconds by which the claim on a chat whose new message is being read outlasts a killed process."""


@dataclass(frozen=True, slots=True)
class ApiMessage:
    """A message that an API client sends for its user."""

    text: str = field(repr=False)
    images: tuple[Image, ...] = ()
    files: tuple[SentFile, ...] = ()
    key: str | None = None
    """Idempotency key: the same key in the same chat is the same message."""
    reservation: MemoryReservation = field(
        default_factory=lambda: MemoryReservation(MemoryBudget()), compare=False
    )
    """The memory that it takes until it is stored."""

    def to_new_message(self, user: User) -> NewMessage:
        source = (
            f"{API_SOURCE}{user.id}:{self.key if self.key is not None else secrets.token_hex(16)}"
        )
        return NewMessage(text=self.text, author=user.id, source=source, images=self.images)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A user's message and its answer, as currently stored."""

    chat: Chat
    question: Message
    answer: Message
    result: AnswerResult | None = None
    """How the answer ended, once it has."""
    pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    """The pictures of both messages, by message id."""

    def pictures_of(self, message: Message) -> Sequence[Picture]:
        return self.pictures.get(message.id, ())

    @property
    def is_first(self) -> bool:
        return self.question.number == 1


class ApiService:
    """The use cases of the API.

    A chat that the user may not see raises ChatNotFound, a chat in a channel that is not allowed PlaceNotAllowed. All
    raise StorageError when the database fails.
    """

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        people: People,
        models: ModelChoice,
        continuations: ContinueService,
        branches: BranchService,
        files: SentFiles,
        access: ChatAccess,
        announce: Announce,
        fitter: ImageFitter,
        exporter: Exporter,
        pictures: Pictures,
        approvals: ApprovalService,
        claims: ActionClaims,
        wake: Callable[[str], None],
        limit: int,
    ) -> None:
        self._chats = chats
        self._claims = claims
        self._branches = branches
        self._files = files
        self._fitter = fitter
        self._continuations = continuations
        self._answers = answers
        self._people = people
        self._access = access
        self._announce = announce
        self._wake = wake
        self.models = models
        self.exporter = exporter
        self.pictures = pictures
        self.approvals = approvals
        self.limit = limit

    async def create(
        self,
        user: User,
        title: str | None = None,
        model: str | None = None,
        *,
        options: ModelOptions = NO_OPTIONS,
    ) -> Chat:
        """Creates an empty chat, which is not listed until it has a message. Raises ModelNotAllowed."""
        ref = await self._choose_model(user, model)
        return await self._chats.create(
            team=user.team,
            owner=user.id,
            model=ref,
            title=title or DEFAULT_TITLE,
            options=self.models.options_for(options, ref),
        )

    async def continue_chat(self, user: User, chat_id: str) -> Chat:
        """The chat that continues this one with a summary of it, new or existing. Waits for the summary."""
        continuation = await self._continuations.create(
            await self.chat(user, chat_id), user.id, in_slack=False
        )
        return await self._continuations.summarised(continuation.chat)

    async def branch(self, user: User, message_id: str, model: str | None) -> Chat:
        """The chat that repeats a conversation up to this question (or this answer's question) and asks another model.

        Raises ChatNotFound, ModelNotAllowed, and InvalidInput without a model.
        """
        if not model:
            raise InvalidInput(english_strings.BRANCH_WITHOUT_MODEL)
        question = await self._branches.question(checked_id(message_id))
        old = await self.chat(user, question.chat_id)
        ref = self.models.by_name(model).ref
        branch = await self._branches.create(old, question, user.id, ref, in_slack=False)
        return await self.chat(user, branch.chat.id)

    async def start(
        self, user: User, message: ApiMessage, model: str | None = None
    ) -> StoredMessage:
        """Creates a chat with its first message. Raises ModelNotAllowed, InvalidInput."""
        ref = await self._choose_model(user, model)
        message = await self._unpacked(Payer(user.team, user.id, None, ""), ref, message)
        stored = await self._chats.start(
            team=user.team,
            owner=user.id,
            model=ref,
            options=self.models.options_for(NO_OPTIONS, ref),
            message=message.to_new_message(user),
            limit=self.limit,
        )
        self._announce(stored)
        return stored

    async def send(self, user: User, chat_id: str, message: ApiMessage) -> StoredMessage:
        """Adds a message. Raises ChatBusy while an answer is being written, LimitReached, InvalidInput."""
        chat = await self.chat(user, chat_id)
        if message.files:
            stored = await self._sent_before(user, chat, message) or await self._add_alone(
                user, chat, message
            )
        else:
            stored = await self._add(user, chat, message)
        self._announce(stored)
        return stored

    async def _sent_before(
        self, user: User, chat: Chat, message: ApiMessage
    ) -> StoredMessage | None:
        """The message that is already stored under this key. Otherwise raises what storing would raise, before clips
        are paid for.
        """
        new = message.to_new_message(user)
        return await self._chats.check_new(chat.id, new, limit=self.limit)

    async def _add_alone(self, user: User, chat: Chat, message: ApiMessage) -> StoredMessage:
        """Also raises ChatBusy while another message, or a repetition of this one, is being read."""
        async with self._claims.alone(READING, chat.id, seconds=READING_SECONDS) as is_free:
            if not is_free:
                raise ChatBusy(chat.id)
            return await self._sent_before(user, chat, message) or await self._add(
                user, chat, message
            )

    async def _add(self, user: User, chat: Chat, message: ApiMessage) -> StoredMessage:
        message = await self._unpacked(payer_of(chat, user.id), chat.model, message)
        return await self._chats.add_message(
            chat.id, message.to_new_message(user), limit=self.limit, reject_if_busy=True
        )

    async def retry(self, user: User, chat_id: str, message_id: str) -> Answer:
        """Answers a message again. `message_id`: of the message, or of its failed or stopped answer.

        Raises NothingToRetry if that answer has neither failed nor been stopped, ChatBusy while another one is being
        written.
        """
        chat = await self.chat(user, chat_id)
        answer = await self._answer_of(chat, message_id)
        if await self._answers.running(chat.id) or await self._answers.next_waiting(chat.id):
            raise ChatBusy(chat.id)
        if answer.status not in (Status.FAILED, Status.STOPPED):
            raise NothingToRetry(answer.id)
        again = await self._answers.retry(answer.id)
        if again is None:
            raise NothingToRetry(answer.id)
        self._wake(chat.id)
        return again

    async def chat(self, user: User, chat_id: str) -> Chat:
        return await self._access.find(user, checked_id(chat_id))

    async def messages(self, chat: Chat) -> list[Message]:
        """The chat's messages, in order."""
        return await self._chats.messages(chat.id)

    async def picture(self, user: User, chat_id: str, message_id: str, position: int) -> Image:
        """A picture of a message in one of the user's chats. Raises ChatNotFound."""
        chat = await self.chat(user, chat_id)
        picture = await self.pictures.load(checked_id(message_id), position, chat.id)
        if picture is None:
            raise ChatNotFound("no such picture")
        return picture

    async def text_length(self, chat: Chat) -> int:
        """Characters of all its messages together."""
        return await self._chats.text_length(chat.id)

    async def results(self, chat: Chat) -> dict[str, AnswerResult]:
        """The results of the chat's answers, by answer id."""
        return await self._answers.results(chat.id)

    async def exchange_of(self, answer: Answer) -> Exchange:
        """The answer and its question, as currently stored."""
        chat = await self._chats.get(answer.chat_id)
        question, written = await self.pair(answer.question_id, answer.id)
        pictures = await self.pictures.of_messages([question.id, written.id])
        return Exchange(chat, question, written, await self._answers.result(answer.id), pictures)

    async def pair(self, question_id: str, answer_id: str) -> tuple[Message, Message]:
        """A message and its answer."""
        return await self._chats.message(question_id), await self._chats.message(answer_id)

    async def model_label(self, chat_id: str) -> str:
        """The model's name as people see it."""
        return self.models.label((await self._chats.get(chat_id)).model)

    async def list_chats(
        self, user: User, *, limit: int, cursor: str | None = None, search: str | None = None
    ) -> ChatPage:
        """A page of the user's chats, most recently active first. Raises InvalidInput for a cursor that is not ours."""
        load = partial(self._chats.list_for, user, limit=limit, cursor=cursor, words=search)
        return await self._access.listed(user, load)

    async def newest_message_ids(self, *chats: Chat) -> dict[str, str]:
        """The id of the newest message, by chat; chats without messages are left out."""
        return await self._chats.newest_message_ids([chat.id for chat in chats])

    async def is_unfinished(self, answer_id: str | None) -> bool:
        """Whether this is the id of an answer that has not ended."""
        found = await self._answers.by_ids([answer_id]) if answer_id else []
        return any(not answer.status.ended for answer in found)

    async def preselected(self, user: User) -> ModelInfo | None:
        return (await self.models.preselected(user)).model

    async def _choose_model(self, user: User, name: str | None) -> ModelRef:
        if name is not None:
            return self.models.by_name(name).ref
        return (await self.preselected(user) or self.models.default()).ref

    async def _answer_of(self, chat: Chat, message_id: str) -> Answer:
        message = await self._chats.message(checked_id(message_id))
        if message.chat_id != chat.id:
            raise ChatNotFound("no such message")
        if message.role is Role.ASSISTANT:
            return await self._answers.get(message.id)
        answer = await self._answers.for_message(message.id)
        assert answer is not None  # it was stored in the same transaction
        return answer

    async def _unpacked(self, payer: Payer, model: ModelRef, message: ApiMessage) -> ApiMessage:
        """The message with its files as the model gets them: as text and images.

        Raises InvalidInput, or BudgetReached.
        """
        found = await self._files.read(
            payer, message.files, keep_pdfs=self.models.takes_pdfs(model)
        )
        texts = [each for each in found if isinstance(each, TextFile)]
        attached = [each for each in found if isinstance(each, Image)]
        pdfs = tuple(each for each in attached if each.mime == PDF)
        images = rules.limit_images(
            [*message.images, *(each for each in attached if each.mime != PDF)]
        )
        transcripts = [each for each in found if isinstance(each, VoiceTranscript)]
        text, _ = rules.append_texts(rules.append_transcripts(message.text, transcripts), texts)
        unpacked = replace(message, text=text, images=images, files=())
        self._check_images(model, unpacked)
        fitted = await self._with_fitted_images(unpacked)
        return replace(fitted, images=(*fitted.images, *pdfs))

    def _check_images(self, model: ModelRef, message: ApiMessage) -> None:
        info = self.models.info(model)
        if message.images and not (info and info.vision):
            raise InvalidInput(
                english_strings.MODEL_CANNOT_SEE.format(model=self.models.label(model))
            )

    async def _with_fitted_images(self, message: ApiMessage) -> ApiMessage:
        """The message with its images in a form that models accept. Raises InvalidInput if that is impossible."""
        try:
            images = [
                await self._fitter.fit(image.data, image.name, message.reservation)
                for image in message.images
            ]
        except FileProblem as error:
            raise InvalidInput(
                english_strings.IMAGE_TOO_MANY_PIXELS
                if error.code == "too_large"
                else english_strings.IMAGE_BROKEN
            ) from error
        return replace(message, images=tuple(images))


def as_waiting(answer: Message) -> Message:
    """The answer as it was first stored, without text: a streaming client gets the text as it arrives."""
    return replace(answer, text="", status=Status.WAITING, error=None)


def checked_id(text: str) -> str:
    """The text, if it has the form of an id; this saves a query otherwise. Raises ChatNotFound."""
    if len(text) == 32 and text.isascii() and text.isalnum():
        return text
    raise ChatNotFound("no such id")

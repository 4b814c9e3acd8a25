"""The prompt names authors where needed, includes the thread's context, and mentions what the model does not get."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import english_strings, sentences
from bot.chats.prompt import IMAGE_BUDGET, PromptBuilder
from bot.chats.prompt_fitting import Excerpt, History
from bot.chats.prompt_turns import LEFT_OUT, THREAD_CONTEXT, chat_messages
from bot.domain import PDF, Answer, Attachment, Chat, Image, Message, Role, SharedFile, User
from bot.domain.tool_calls import ToolRound
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.request_body import nothing_to_read
from bot.text.mention_marks import MENTION_MARK
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.storage.chat_builder import MODEL, ChatBuilder

CAT, DOG, BIRD = (
    Attachment("id", at, f"{name}.png", "image/png", 3)
    for at, name in enumerate(["cat", "dog", "bird"])
)
SCAN = Attachment("id", 3, "scan.pdf", PDF, 3)
FILE = Image("cat.png", "image/png", b"cat")
EARLIER = "[Attached: {}, which was shown earlier and is not repeated]"
UNSEEN = "[Attached: {}, an image that you cannot see]"
UNREADABLE = "[Attached: {}, which could not be read]"


def asked(text: str, author: str = "U1", **more: object) -> Message:
    return Message("id", "chat", 1, Role.USER, text, author=author, **more)  # type: ignore[arg-type]


def answered(text: str) -> Message:
    return Message("id", "chat", 2, Role.ASSISTANT, text)


def texts(made: Sequence[ChatMessage]) -> list[str]:
    return [turn.text for turn in made]


def test_messages_keep_their_order_and_begin_with_known_names() -> None:
    history = [asked("Hello"), answered("Hi"), asked("And?", author="U2")]
    assert chat_messages(history, {}) == [
        ChatMessage(Role.USER, "Hello"),
        ChatMessage(Role.ASSISTANT, "Hi"),
        ChatMessage(Role.USER, "And?"),
    ]
    named = chat_messages(history, {"U1": "Ann", "U2": "Bob"})
    assert texts(named) == ["Ann: Hello", "Hi", "Bob: And?"]
    assert texts(chat_messages(history, {"U2": "Bob"})) == ["Hello", "Hi", "Bob: And?"]


def test_thread_context_goes_with_the_first_question_only() -> None:
    made = chat_messages(
        [asked("This?"), answered("Hi"), asked("That?")], {"U1": "Ann"}, "Bob: It is broken"
    )
    context = THREAD_CONTEXT.format(context="Bob: It is broken", text="Ann: This?")
    assert texts(made) == [context, "Hi", "Ann: That?"]


def test_messages_without_an_answer_between_them_become_one() -> None:
    history = [
        asked("One", images=(CAT,)),
        asked("Two", author="U2", images=(DOG,)),
        answered("Yes"),
        asked("Three"),
    ]
    assert chat_messages(history, {"U1": "Ann", "U2": "Bob"}) == [
        ChatMessage(Role.USER, "Ann: One\n\nBob: Two", (CAT, DOG)),
        ChatMessage(Role.ASSISTANT, "Yes"),
        ChatMessage(Role.USER, "Ann: Three"),
    ]


MESSAGES = st.lists(
    st.builds(
        Message,
        id=st.uuids().map(str),
        chat_id=st.just("chat"),
        number=st.just(1),
        role=st.sampled_from(Role),
        text=st.sampled_from(["", " ", "word", "two words"]),
        author=st.sampled_from(["U1", "U2"]),
        images=st.sampled_from([(), (CAT,)]),
    )
)


@given(MESSAGES, st.booleans(), st.sampled_from([None, "Before"]), st.data())
def test_roles_alternate_whatever_happened(
    messages: list[Message], can_see: bool, context: str | None, data: st.DataObject
) -> None:
    """No turn is empty, nothing is lost except messages that are left out, and the last message comes last."""
    earlier = [message.id for message in messages if message.role is Role.USER]
    left_out = data.draw(st.sets(st.sampled_from(earlier))) if earlier else set()
    history = [*messages, asked("The question")]
    made = chat_messages(history, {"U2": "Bob"}, context, can_see=can_see, left_out=left_out)
    assert all(a.role is not b.role for a, b in itertools.pairwise(made))
    assert all(turn.text.strip() or turn.images for turn in made)
    assert made[-1].role is Role.USER
    assert made[-1].text.endswith("The question")
    whole = "\n".join(texts(made))
    kept = [message for message in messages if message.id not in left_out]
    assert whole.count("word") == sum("word" in message.text for message in kept)
    assert (LEFT_OUT in whole) == bool(left_out)


def test_models_without_vision_get_names_instead_of_images() -> None:
    message = asked("Look", images=(CAT, DOG), omitted_images=(BIRD,))
    assert chat_messages([message], {}) == [
        ChatMessage(Role.USER, "Look\n\n" + EARLIER.format("bird.png"), (CAT, DOG))
    ]
    expected = "\n\n".join(
        ["Look", *(UNSEEN.format(name) for name in ("bird.png", "cat.png", "dog.png"))]
    )
    assert chat_messages([message], {}, can_see=False) == [ChatMessage(Role.USER, expected)]


@pytest.mark.parametrize("can_see", [True, False])
def test_a_scan_is_never_called_an_image(can_see: bool) -> None:
    shown, earlier = asked("Look", images=(SCAN,)), asked("Look", omitted_images=(SCAN,))
    for message, note, images in ((shown, "", (SCAN,)), (earlier, EARLIER, ())):
        text = "\n\n".join(filter(None, ["Look", note.format("scan.pdf")]))
        made = chat_messages([message], {}, can_see=can_see)
        assert made == [ChatMessage(Role.USER, text, images)]
        made = chat_messages([message], {}, can_see=can_see, takes_pdfs=False)
        text = f"Look\n\n{UNREADABLE.format('scan.pdf')}"
        assert made == [ChatMessage(Role.USER, text)]


def test_people_read_how_many_of_each_kind() -> None:
    for attachments, expected in (
        ((), ""),
        ((SCAN,), "with a document"),
        ((CAT, SCAN, DOG), "with 2 images, with a document"),
    ):
        assert sentences.sent_with(attachments) == expected


def test_question_of_only_an_image_has_no_empty_lines() -> None:
    assert chat_messages([asked("", images=(CAT,))], {}) == [ChatMessage(Role.USER, "", (CAT,))]
    assert texts(chat_messages([asked("", images=(CAT,))], {}, can_see=False)) == [
        UNSEEN.format("cat.png")
    ]


def test_missing_files_are_mentioned_on_one_line_each() -> None:
    waits, broken = SharedFile("F1", "a\nb.heic"), SharedFile("F2", "c.pdf", problem="type")
    message = asked("Read", files=(waits, broken))
    assert texts(chat_messages([message], {})) == [
        f"Read\n\n{UNREADABLE.format('a b.heic')}\n\n{UNREADABLE.format('c.pdf')}"
    ]
    blind = texts(chat_messages([message], {}, can_see=False))
    assert blind == [f"Read\n\n{UNSEEN.format('a b.heic')}\n\n{UNREADABLE.format('c.pdf')}"]


# -- from what is stored ---------------------------------------------------------------------------------------------


@dataclass
class People:
    """Known names of users, and the replacement of ids in texts."""

    named: Mapping[str, str] = field(default_factory=dict)

    async def find(self, users: Iterable[User]) -> dict[User, str]:
        return {user: self.named[user.id] for user in users if user.id in self.named}

    async def settle(self, team: str, texts: Iterable[str]) -> None:
        pass

    async def name_ids(self, team: str, text: str) -> str:
        return text.replace(f"@{MENTION_MARK}U2", f"@Bob of {team}")


@dataclass
class Files:
    """Whether the model has vision, and a text that is added when the files are loaded."""

    has_vision: bool = True
    brings: ChatBuilder | None = None

    def can_see(self, chat: Chat) -> bool:
        return self.has_vision

    def takes_pdfs(self, chat: Chat) -> bool:
        return False

    async def load_pending(
        self, chat: Chat, answer: Answer, history: Sequence[Message], unread: Collection[str]
    ) -> bool:
        if self.brings is None:
            return False
        question = history[-1]
        return await self.brings.chats.store_loaded_files(
            question, more_text=" (and a file)", images=(FILE,), files=()
        )


class WholeChats:
    """Sends every chat whole."""

    async def fit(
        self, chat: Chat, answer: Answer, history: History, limit: int | None = None
    ) -> Excerpt:
        return history.excerpt()


class NoCalls:
    """A chat in which no tools were called."""

    async def read(
        self, chat: Chat, number: int, answered: Collection[str]
    ) -> dict[str, tuple[ToolRound, ...]]:
        return {}


@pytest.fixture
async def builder(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[ChatBuilder]:
    path = tmp_path / "bobbin.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    database = Database.open(f"sqlite:///{path}")
    yield ChatBuilder(Chats(database), Answers(database))
    await database.close()


async def brief(
    builder: ChatBuilder, chat: Chat, people: People | None = None, files: Files | None = None
) -> ModelRequest:
    answer = await builder.replies.next_waiting(chat.id)
    assert answer is not None
    made = PromptBuilder(
        builder.chats,
        "Be kind.",
        people or People(),
        files or Files(),
        WholeChats(),
        NoCalls(),
        nothing_to_read,
    )
    fit = await made.read(await builder.chats.get(chat.id), answer)
    return await fit(0, None)


async def test_single_author_is_not_named_and_ids_become_names(builder: ChatBuilder) -> None:
    chat = (await builder.start(text=f"Ask @{MENTION_MARK}U2")).chat
    request = await brief(builder, chat, People({"U1": "Ann"}))
    assert (request.model, request.system, texts(request.messages)) == (
        MODEL,
        "Be kind.",
        ["Ask @Bob of T1"],
    )


async def test_several_authors_are_named_as_in_slack_or_as_unknown(
    builder: ChatBuilder,
) -> None:
    chat = (await builder.start(text="One")).chat
    for author in ("U2", "U3"):
        await builder.answer(chat, "Hm")
        await builder.chats.add_message(chat.id, NewMessage(author, author))
    request = await brief(builder, chat, People({"U1": "Ann", "U2": "Bob"}))
    assert texts(request.messages) == [
        "Ann: One",
        "Hm",
        "Bob: U2",
        "Hm",
        f"{english_strings.UNKNOWN_PERSON}: U3",
    ]


async def test_single_author_is_named_when_the_thread_has_context(builder: ChatBuilder) -> None:
    said = await builder.chats.start(
        team="T1", owner="U1", model=MODEL, message=NewMessage("This?", "U1"), context="Bob: Broken"
    )
    request = await brief(builder, said.chat, People({"U1": "Ann"}))
    assert texts(request.messages) == [
        THREAD_CONTEXT.format(context="Bob: Broken", text="Ann: This?")
    ]


async def test_newest_images_are_repeated_for_models_with_vision_only(
    builder: ChatBuilder,
) -> None:
    images = tuple(
        Image(f"{n}.png", "image/png", bytes([n])) for n in range(IMAGE_BUDGET.count + 1)
    )
    chat = (await builder.start(text="Begin")).chat
    for image in images:
        await builder.answer(chat, "Hm")
        await builder.chats.add_message(chat.id, NewMessage("See", "U1", images=(image,)))
    seen = [turn for turn in (await brief(builder, chat)).messages if turn.role is Role.USER][1:]
    kept = images[-IMAGE_BUDGET.count // 2 :]
    left_out = len(images) - len(kept)
    sent = [tuple(image.name for image in turn.images) for turn in seen]
    assert sent == [()] * left_out + [(image.name,) for image in kept]
    assert seen[0].text == f"See\n\n{EARLIER.format('0.png')}"
    blind = [
        turn
        for turn in (await brief(builder, chat, files=Files(has_vision=False))).messages
        if turn.role is Role.USER
    ]
    assert [turn.images for turn in blind] == [()] * len(blind)
    assert blind[-1].text == f"See\n\n{UNSEEN.format(f'{IMAGE_BUDGET.count}.png')}"


async def test_history_is_read_again_after_files_were_loaded(builder: ChatBuilder) -> None:
    said = await builder.start(text="Look")
    request = await brief(builder, said.chat, files=Files(brings=builder))
    (turn,) = request.messages
    assert (turn.text, [image.name for image in turn.images]) == ("Look (and a file)", ["cat.png"])

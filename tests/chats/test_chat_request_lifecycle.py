"""The states of a chat request, and the events that move it from one to the next."""

from __future__ import annotations

import pytest

from bot.chats.chat_request_lifecycle import (
    ContextRead,
    FilesAdded,
    GivenUp,
    MenuPosted,
    ModelSelected,
    QuestionMoved,
    QuestionPosted,
    RequestEvent,
    RequestLifecycle,
    RequestState,
    TextGiven,
    state_of,
)
from bot.domain import ModelRef, SharedFile, Thread
from storage.chat_requests import ChatRequest, ChatRequests
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage

MODEL = ModelRef("openai", "demo/quick")
IMAGE = SharedFile("F1", "a.png", "image/png")
OWN_THREAD = Thread("T1", "C1", "100.1")
OTHERS_THREAD = Thread("T1", "C1", "50.1")
S = RequestState


@pytest.fixture
def requests(database: Database) -> ChatRequests:
    return ChatRequests(database)


@pytest.fixture
def lifecycle(requests: ChatRequests) -> RequestLifecycle:
    return RequestLifecycle(requests)


async def mention(
    requests: ChatRequests, text: str | None = "why?", thread: Thread = OWN_THREAD
) -> ChatRequest:
    request, _ = await requests.create(thread=thread, ts="100.1", user="U1", text=text)
    return request


async def submission(requests: ChatRequests, thread: Thread) -> ChatRequest:
    request, _ = await requests.create(
        thread=thread, ts="V1", user="U1", text="why?", model=MODEL, in_dialog=True
    )
    return request


async def walk(
    lifecycle: RequestLifecycle, request: ChatRequest, *events: RequestEvent
) -> list[RequestState]:
    """The states that a request passes through, the first included."""
    states = [state_of(request)]
    for event in events:
        request = await lifecycle.advance(request, event)
        states.append(state_of(request))
    return states


async def test_a_mention_is_ready_once_its_model_is_selected(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests)
    states = await walk(lifecycle, request, MenuPosted("100.2"), ModelSelected(MODEL))
    assert states == [S.ASKED, S.MENU_SHOWN, S.READY]


async def test_a_mention_without_text_waits_for_it_after_the_choice(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests, text=None)
    states = await walk(
        lifecycle,
        request,
        MenuPosted("100.2"),
        ModelSelected(MODEL),
        TextGiven("100.3", "why?"),
    )
    assert states == [S.ASKED, S.MENU_SHOWN, S.WAITING_FOR_TEXT, S.READY]


async def test_text_or_files_before_the_choice_leave_the_menu_waiting(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests, text=None)
    states = await walk(
        lifecycle,
        request,
        MenuPosted("100.2"),
        TextGiven("100.3", "why?"),
        FilesAdded((IMAGE,)),
        ModelSelected(MODEL),
    )
    assert states == [S.ASKED, S.MENU_SHOWN, S.MENU_SHOWN, S.MENU_SHOWN, S.READY]


async def test_files_alone_are_a_question_too(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests, text=None)
    states = await walk(lifecycle, request, ModelSelected(MODEL), TextGiven("100.3", "", (IMAGE,)))
    assert states == [S.ASKED, S.WAITING_FOR_TEXT, S.READY]


async def test_the_first_text_is_the_question(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests, text=None)
    await lifecycle.advance(request, TextGiven("100.3", "why?"))
    after = await lifecycle.advance(request, TextGiven("100.4", "or how?"))
    assert (after.source, after.text) == ("100.3", "why?")


async def test_a_mention_in_a_thread_of_people_waits_for_the_context(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests, thread=OTHERS_THREAD)
    states = await walk(
        lifecycle, request, ModelSelected(MODEL), ContextRead("bob: It drips.", (IMAGE,))
    )
    assert states == [S.ASKED, S.WAITING_FOR_CONTEXT, S.READY]
    after = await requests.get(request.id)
    assert (after.context, after.context_files) == ("bob: It drips.", (IMAGE,))


async def test_a_submission_is_ready_once_its_question_is_posted(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await submission(requests, Thread("T1", "C1", ""))
    states = await walk(lifecycle, request, QuestionPosted("100.5"))
    assert states == [S.SUBMITTED, S.READY]
    after = await requests.get(request.id)
    assert (after.thread, after.source) == (Thread("T1", "C1", "100.5"), "100.5")


async def test_a_submission_that_moves_starts_a_new_thread_there(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await submission(requests, OTHERS_THREAD)
    moved = await lifecycle.advance(request, QuestionMoved("D1"))
    assert (moved.thread, state_of(moved)) == (Thread("T1", "D1", ""), S.SUBMITTED)


async def test_a_submission_in_a_thread_stays_in_it(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await submission(requests, OTHERS_THREAD)
    posted = await lifecycle.advance(request, QuestionPosted("100.5"))
    assert (posted.thread, posted.source) == (OTHERS_THREAD, "100.5")


async def test_the_first_menu_is_the_one_that_counts(
    lifecycle: RequestLifecycle, requests: ChatRequests
) -> None:
    request = await mention(requests)
    await lifecycle.advance(request, MenuPosted("100.2"))
    after = await lifecycle.advance(request, MenuPosted("100.3"))
    assert after.menu_ts == "100.2"


@pytest.mark.parametrize("end", [S.GIVEN_UP, S.STARTED])
async def test_nothing_moves_a_request_that_has_ended(
    lifecycle: RequestLifecycle, requests: ChatRequests, database: Database, end: RequestState
) -> None:
    request = await mention(requests)
    if end is S.GIVEN_UP:
        await lifecycle.advance(request, GivenUp())
    else:
        await Chats(database).start(
            team="T1",
            owner="U1",
            model=MODEL,
            thread=OWN_THREAD,
            request_id=request.id,
            limit=100,
            message=NewMessage(text="why?", author="U1", source="100.1", ts="100.1"),
        )
    events = (MenuPosted("100.2"), ModelSelected(MODEL), TextGiven("100.3", "how?"), GivenUp())
    request = await requests.get(request.id)
    assert set(await walk(lifecycle, request, *events)) == {end}

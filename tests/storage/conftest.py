"""Fixtures for the storage tests: repositories, replicas on the same database, and a chat builder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.domain import Thread
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.engine.database import Database
from storage.people import People
from tests.deadlines import patient_timing
from tests.storage.chat_builder import ChatBuilder


@pytest.fixture
def chats(database: Database) -> Chats:
    return Chats(database)


@pytest.fixture
def answers(database: Database) -> Answers:
    return Answers(database)


@pytest.fixture
def requests(database: Database) -> ChatRequests:
    return ChatRequests(database)


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


@pytest.fixture
def builder(chats: Chats, answers: Answers) -> ChatBuilder:
    return ChatBuilder(chats, answers)


@pytest.fixture
async def rivals(database: Database, migrated_url: str) -> AsyncIterator[list[Database]]:
    """The database as three replicas see it, each with its own connections."""
    others = [Database.open(migrated_url, timing=patient_timing()) for _ in range(2)]
    yield [database, *others]
    for other in others:
        await other.close()


@pytest.fixture
def thread() -> Thread:
    return Thread("T1", "C1", "100.1")

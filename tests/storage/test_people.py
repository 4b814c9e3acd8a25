"""Users: names, models, feedback, tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.domain import ModelRef, User
from storage.api_tokens import Tokens
from storage.engine.database import Conflict, Database
from storage.people import Account, People, Profile
from storage.tables import api_tokens, feedback
from tests.storage.chat_builder import MODEL, ChatBuilder

ANN = User("T1", "U1")


async def test_an_unknown_user_has_an_empty_profile(people: People) -> None:
    assert await people.get(ANN) == Profile(ANN)


async def test_profile_fields_are_set_independently(people: People) -> None:
    other = ModelRef("ollama", "tiny:1b")
    await people.set_last_model(ANN, MODEL)
    await people.set_account(ANN, Account("Ann"))
    await people.set_default(ANN, other)
    # A caller that had not seen the new choice yet:
    await people.set_always(ANN, True, known=None, model=MODEL)
    assert await people.get(ANN) == Profile(
        ANN, "Ann", default_model=other, last_model=MODEL, always=True
    )
    await people.set_always(ANN, False, known=other, model=None)
    assert await people.get(ANN) == Profile(ANN, "Ann", last_model=MODEL)
    assert await people.get(User("T2", "U1")) == Profile(User("T2", "U1"))


async def test_the_latest_feedback_of_each_user_counts(
    people: People, builder: ChatBuilder, database: Database
) -> None:
    answer = await builder.answer((await builder.start()).chat)
    bob = User("T1", "U2")
    await people.set_feedback(answer.id, ANN, 1)
    await people.set_feedback(answer.id, bob, 1)
    await people.set_feedback(answer.id, ANN, -1)
    async with database.read() as connection:
        rows = await connection.execute(select(feedback))
        assert {(row.message_id, row.user, row.value) for row in rows} == {
            (answer.id, ANN.id, -1),
            (answer.id, bob.id, 1),
        }
    with pytest.raises(Conflict):
        await people.set_feedback("0" * 32, ANN, 1)


async def test_a_token_identifies_its_user_until_it_is_revoked(database: Database) -> None:
    tokens = Tokens(database)
    mine, other = await tokens.issue(ANN), await tokens.issue(User("T2", "U1"))
    assert await tokens.user_of(mine) == ANN
    assert await tokens.user_of(other) == User("T2", "U1")
    assert await tokens.revoke(ANN) == 1
    assert await tokens.revoke(ANN) == 0
    assert await tokens.user_of(mine) is None
    assert await tokens.user_of(other) == User("T2", "U1")
    for nonsense in ("", "bobbin_x", "\ud800"):
        assert await tokens.user_of(nonsense) is None


async def test_a_token_expires_and_is_not_stored_in_clear(database: Database) -> None:
    tokens = Tokens(database)
    expired = await tokens.issue(ANN, valid_for=timedelta(seconds=-1))
    valid = await tokens.issue(ANN, valid_for=timedelta(hours=1))
    assert await tokens.user_of(expired) is None
    assert await tokens.user_of(valid) == ANN
    async with database.read() as connection:
        rows = (await connection.execute(select(api_tokens))).all()
    assert valid not in str(rows)
    assert sum(row.last_used_at is not None for row in rows) == 1

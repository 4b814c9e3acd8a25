"""Database work is repeated while the database is down, and for no other reason."""

from __future__ import annotations

import pytest

from bot.answers.storage_retry import until_stored
from bot.errors import ChatNotFound, StorageError


class Work:
    """Fails as many times as it has errors, then returns 7."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 7


async def test_work_is_repeated_until_the_database_is_back() -> None:
    work = Work(StorageError("away"), StorageError("still away"))
    assert await until_stored(lambda: work(), "answer") == 7
    assert work.errors == []


async def test_a_long_failure_is_logged_once_and_its_end_too(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await until_stored(Work(*[StorageError("away")] * 3), "answer")
    await until_stored(Work(), "another")
    logged = capsys.readouterr().out + caplog.text
    assert [logged.count(event) for event in ("storage_unreachable", "stored_after_retries")] == [
        1,
        1,
    ]


async def test_other_errors_are_not_repeated() -> None:
    work = Work(ChatNotFound("gone"))
    with pytest.raises(ChatNotFound):
        await until_stored(work, "answer")
    assert work.errors == []

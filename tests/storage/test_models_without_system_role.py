"""Which models refuse a system message is remembered, and no process needs to know it to start."""

from __future__ import annotations

from bot.domain import ModelRef
from storage.engine.database import Database
from storage.models_without_system_role import ModelsWithoutSystemRole

MODEL = ModelRef("ollama", "gemma")


async def test_what_one_process_has_learned_another_knows(database: Database) -> None:
    await (await ModelsWithoutSystemRole.load(database)).add(MODEL)
    known = await ModelsWithoutSystemRole.load(database)
    assert MODEL in known
    assert ModelRef("ollama", "llama") not in known


async def test_startup_survives_a_database_that_is_down() -> None:
    """It may go away between the migration, which waits for it, and this."""
    away = Database.open("postgresql://bobbin@127.0.0.1:9/bobbin")
    try:
        known = await ModelsWithoutSystemRole.load(away)
        await known.add(MODEL)
        assert MODEL in known
    finally:
        await away.close()

"""The models that refuse a system message, stored so that a new process need not discover them again."""

from __future__ import annotations

from sqlalchemy import select

from bot.domain import ModelRef
from bot.errors import StorageError
from bot.observability import get_logger
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.statements.queries import dialect_insert
from storage.tables import models_without_system_role

log = get_logger(__name__)


class ModelsWithoutSystemRole:
    """The models whose servers have refused a system message.

    Read once, when the process starts: a model that another replica has discovered since costs one refused request.
    """

    def __init__(self, database: Database, known: set[ModelRef]) -> None:
        self._database = database
        self._known = known

    @classmethod
    async def load(cls, database: Database) -> ModelsWithoutSystemRole:
        """Never raises: while the database is down none is known, and the process starts anyway."""
        try:
            async with database.read() as connection:
                rows = await connection.execute(select(models_without_system_role))
                return cls(database, {ModelRef(row.provider, row.model) for row in rows})
        except StorageError as error:
            log.info("models_not_read", reason=str(error))
            return cls(database, set())

    def __contains__(self, model: ModelRef) -> bool:
        return model in self._known

    async def add(self, model: ModelRef) -> None:
        """Never raises: a model that could not be stored is remembered until the process ends."""
        self._known.add(model)
        row = {"provider": model.provider, "model": model.name, "created_at": utc_now()}
        try:
            async with self._database.begin() as connection:
                insert = dialect_insert(connection, models_without_system_role)
                await connection.execute(insert.values(row).on_conflict_do_nothing())
        except StorageError as error:
            log.info("model_not_stored", reason=str(error))

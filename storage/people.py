"""What is stored about users: name, locale, preferred model, feedback on answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import and_, case, false, literal, or_, select

from bot.domain import ModelRef, User
from bot.domain.model_options import NO_OPTIONS, Effort, ModelOptions
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.statements.queries import dialect_insert
from storage.statements.rows import to_options
from storage.tables import feedback, people


@dataclass(frozen=True, slots=True)
class Account:
    """What Slack says about a user."""

    name: str
    locale: str | None = None
    """Such as `de-DE`."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user's name and preferences."""

    user: User
    name: str | None = None
    default_model: ModelRef | None = None
    """The model that the user has set."""
    last_model: ModelRef | None = None
    """The model that the user chose last."""
    always: bool = False
    """Start with the user's model and skip the menu."""
    options: ModelOptions = NO_OPTIONS
    """The options of the model that the user has set."""


class People:
    """The repository of profiles and feedback.

    Every method is one transaction or one read, and raises StorageError when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, user: User) -> Profile:
        """The user's profile; an empty one for an unknown user."""
        query = select(people).where(people.c.team == user.team, people.c.user == user.id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return Profile(user)
        return Profile(
            user=user,
            name=row.name,
            default_model=ModelRef.parse(row.default_model) if row.default_model else None,
            last_model=ModelRef.parse(row.last_model) if row.last_model else None,
            always=row.always,
            options=to_options(row),
        )

    async def accounts(self, users: Collection[User]) -> dict[User, Account]:
        """What Slack has said about those users whose names are known."""
        by_team: dict[str, list[str]] = {}
        for user in users:
            by_team.setdefault(user.team, []).append(user.id)
        # No pairs: SQLite would search the whole table for them.
        these = [and_(people.c.team == t, people.c.user.in_(ids)) for t, ids in by_team.items()]
        query = select(people.c.team, people.c.user, people.c.name, people.c.locale).where(
            or_(false(), *these), people.c.name.is_not(None)
        )
        async with self._database.read() as connection:
            return {
                User(row.team, row.user): Account(row.name, row.locale)
                for row in await connection.execute(query)
            }

    async def set_account(self, user: User, account: Account) -> None:
        """Stores accounts. An account without a locale keeps the stored one."""
        locale = {"locale": account.locale} if account.locale else {}
        await self._set(user, name=account.name, **locale)

    async def set_default(self, user: User, model: ModelRef | None) -> None:
        await self._set(user, default_model=None if model is None else str(model))

    async def set_web_search(self, user: User, wanted: bool) -> None:
        """Sets whether the web is searched with the user's model."""
        await self._set(user, web_search=wanted)

    async def set_effort(self, user: User, effort: Effort | None) -> None:
        """Sets how much the user's model reasons."""
        await self._set(user, effort=effort)

    async def set_always(
        self, user: User, always: bool, *, known: ModelRef | None, model: ModelRef | None
    ) -> None:
        """Sets whether to skip the menu. `model` becomes the user's model, if that is still the `known` one."""
        before, after = (None if ref is None else str(ref) for ref in (known, model))
        same = (
            people.c.default_model.is_(None) if before is None else people.c.default_model == before
        )
        changed = {"always": always, "updated_at": utc_now()}
        row = {"team": user.team, "user": user.id, "default_model": after, **changed}
        kept = case(
            (same, literal(after, people.c.default_model.type)), else_=people.c.default_model
        )
        async with self._database.begin() as connection:
            await connection.execute(
                dialect_insert(connection, people)
                .values(row)
                .on_conflict_do_update(
                    index_elements=["team", "user"], set_={**changed, "default_model": kept}
                )
            )

    async def set_last_model(self, user: User, model: ModelRef) -> None:
        """Stores which model the user chose last."""
        await self._set(user, last_model=str(model))

    async def _set(self, user: User, **values: str | bool | None) -> None:
        changed = {**values, "updated_at": utc_now()}
        row = {"team": user.team, "user": user.id, "always": False, **changed}
        async with self._database.begin() as connection:
            await connection.execute(
                dialect_insert(connection, people)
                .values(row)
                .on_conflict_do_update(index_elements=["team", "user"], set_=changed)
            )

    async def set_feedback(self, message_id: str, user: User, value: int) -> None:
        """Stores a user's feedback on an answer (1 good, -1 bad), replacing earlier feedback.

        Raises Conflict if there is no such message.
        """
        changed = {"value": value, "updated_at": utc_now()}
        row = {"message_id": message_id, "team": user.team, "user": user.id, **changed}
        async with self._database.begin() as connection:
            await connection.execute(
                dialect_insert(connection, feedback)
                .values(row)
                .on_conflict_do_update(index_elements=["message_id", "team", "user"], set_=changed)
            )

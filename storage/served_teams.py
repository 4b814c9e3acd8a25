"""Which workspaces a process serves. It does no work for others, whoever else uses the same database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, exists, func, or_, true

from storage.tables import chats, installations, workspaces

Serves = Callable[[ColumnElement[str]], ColumnElement[bool]]
"""For a column with workspace ids: whether this process serves the row's workspace."""


def every_team(team: ColumnElement[str]) -> ColumnElement[bool]:
    """For a process that has the database to itself."""
    return true()


def only_team(served: str) -> Serves:
    """For a process with the token of one workspace."""
    return lambda team: team == served


def installed_teams(team: ColumnElement[str]) -> ColumnElement[bool]:
    """For a process that serves everyone who has installed the app: the workspace itself, or its organisation."""
    org_wide = and_(
        installations.c.team == "",
        installations.c.enterprise == workspaces.c.enterprise,
        workspaces.c.team == team,
    )
    return or_(exists().where(installations.c.team == team), exists().where(org_wide))


def in_served_team(serves: Serves, chat_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the process serves the workspace of a row's chat."""
    return exists().where(chats.c.id == chat_id, serves(chats.c.team))


def in_turns(team: Column[str], since: Column[Any]) -> tuple[ColumnElement[Any], ...]:
    """An order for rows of which only some are taken: each workspace's first, then each one's second, and so on.

    So none keeps out those of others, however many of its own cannot be finished. Chance decides which workspaces come
    first, so those of which nothing can be finished keep out no others either, even if they are more than are taken.
    """
    return func.row_number().over(partition_by=team, order_by=since), func.random()

"""The operator's rules that refuse somebody, each in a world where the rule was set after everything in the scene."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bot.access.rules import Treatment, Verdict
from tests.access.conftest import WorldFactory
from tests.access.scene import PLACE, WHO, Scene
from tests.handlers.world import World

Change = Callable[[World], None]
ADMINS = ("U0ALICE",)


def nothing(_: World) -> None:
    """Changes nothing: the settings alone decide."""


def becomes_outsider(world: World) -> None:
    person = world.slack.workspace.user(WHO)
    person.is_stranger, person.team_id = True, "T0ELSEWHERE"
    world.slack.workspace.channel(PLACE).ext_shared = True


def becomes_guest(world: World) -> None:
    world.slack.workspace.user(WHO).is_restricted = True


RULES: dict[Verdict, tuple[dict[str, Any], Change]] = {
    Verdict.USER_NOT_ALLOWED: ({"bobbin_allowed_users": ("U0BOB", "W9*")}, nothing),
    Verdict.CHANNEL_NOT_ALLOWED: ({"bobbin_allowed_channels": ("C0NOWHERE",)}, nothing),
    Verdict.OUTSIDER: ({}, becomes_outsider),
    Verdict.GUEST: ({"bobbin_guests": Treatment.IGNORE}, becomes_guest),
}


@asynccontextmanager
async def refusing(worlds: WorldFactory, rule: Verdict) -> AsyncIterator[tuple[World, Scene]]:
    """A world in which the rule came after everything in the scene."""
    async with worlds(bobbin_admins=ADMINS) as world:
        scene = await Scene.prepare(world)
        settings, change = RULES[rule]
        change(world)
        await world.restart(**settings)
        await world.idle()
        world.models.journal.clear()
        yield world, scene

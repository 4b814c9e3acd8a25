"""The people and channels that every new workspace has."""

from __future__ import annotations

from bot.sandbox.state.workspace import Workspace

PEOPLE = {"alice": "Alice Archer", "bob": "Bob Brown", "carol": "Carol Chen", "dan": "Dan Diaz"}


def add_default_users_and_channels(workspace: Workspace) -> None:
    """Add four people, another bot, three public channels and a private one."""
    people = [workspace.add_user(name, real_name).id for name, real_name in PEOPLE.items()]
    other_bot = workspace.add_user("weatherbot", "Weather Bot", bot=True).id
    everyone = [*people, workspace.bot.id, other_bot]
    workspace.add_channel("general", everyone)
    workspace.add_channel("random", everyone)
    workspace.add_channel("watercooler", people)
    workspace.add_channel("leads", [people[0], people[1], workspace.bot.id], "group")

"""The people and channels that every new workspace has."""

from __future__ import annotations

from bot.sandbox.state.workspace import Workspace

GERMAN = ("erika", "Erika Ernst")
PEOPLE = {"alice": "Alice Archer", "bob": "Bob Brown", "carol": "Carol Chen", "dan": "Dan Diaz"}


def add_default_users_and_channels(workspace: Workspace) -> None:
    """Adds four people, one whose Slack is in German, another bot, three public channels and a private one."""
    people = [_add(workspace, name, real_name) for name, real_name in PEOPLE.items()]
    people.append(_add(workspace, *GERMAN))
    workspace.users[people[-1]].locale = "de-DE"
    other_bot = _add(workspace, "weatherbot", "Weather Bot", bot=True)
    everyone = [*people, workspace.bot.id, other_bot]
    workspace.add_channel("general", everyone)
    workspace.add_channel("random", everyone)
    workspace.add_channel("watercooler", people)
    workspace.add_channel("leads", [people[0], people[1], workspace.bot.id], "group")


def _add(workspace: Workspace, name: str, real_name: str, *, bot: bool = False) -> str:
    """Adds a user under an id that the app, whatever its name, has not taken."""
    free = "" if workspace.user_named(name) is None else f"U0{name.upper()}2"
    return workspace.add_user(name, real_name, bot=bot, user_id=free).id

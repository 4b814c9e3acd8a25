"""Who may see and do what: checks before an action."""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, Container, User
from bot.sandbox.state.workspace import Workspace


def require_access(person: User, channel: Channel) -> Channel:
    """The channel, if this person can act in it."""
    if person.id not in channel.members:
        raise LookupError(f"{person.name} is not in {channel.name}")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    return channel


def require_open_messages_tab(workspace: Workspace, person: User, channel: Channel) -> None:
    """Raises LookupError if this person would write to an app that accepts no messages."""
    features = workspace.features
    if channel.type != "im" or workspace.bot.id not in channel.members or person.is_bot:
        return
    if not features.messages_tab or features.messages_read_only:
        raise LookupError("sending messages to this app has been turned off in its manifest")


def require_visible(workspace: Workspace, person: User, container: Container) -> Container:
    """The container, if this person can see it."""
    if container.view is not None and container.view.user != person.id:
        raise LookupError(f"{person.name} does not see this view")
    if container.ephemeral is not None and container.ephemeral.viewer != person.id:
        raise LookupError(f"{person.name} does not see this message")
    if container.message is not None:
        require_access(person, workspace.channels[container.message.channel])
    return container

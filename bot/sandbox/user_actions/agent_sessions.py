"""What people see and do with a thread's agent session: status, title and Slack's own Stop control."""

from __future__ import annotations

from bot.sandbox.events.subscriptions import EventSubscriptions
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.web_api.streams import stop_by_user


class AgentSessionActions:
    """A session is named by its channel and thread."""

    def __init__(self, workspace: Workspace, subscriptions: EventSubscriptions) -> None:
        self._workspace = workspace
        self._subscriptions = subscriptions

    def status(self, channel: str, thread: str) -> str:
        """The current status line of a thread; empty if there is none."""
        conversation = self._workspace.channel(channel).id
        self._workspace.expire_status(conversation, thread)
        return self._workspace.thread_state(conversation, thread).status

    def title(self, channel: str, thread: str) -> str | None:
        """The title of a thread's session."""
        return self._workspace.thread_state(self._workspace.channel(channel).id, thread).title

    async def stop(self, user: str, channel: str, thread: str) -> None:
        """Presses Slack's own Stop control in a thread in which the app is working."""
        person, conversation = (
            self._workspace.user(user),
            self._workspace.channel_for(self._workspace.user(user).id, channel),
        )
        if not self.can_stop(conversation.id, thread):
            raise LookupError(
                "there is no Stop control: nothing is being processed, or the app does not listen for it"
            )
        stopped = stop_by_user(self._workspace, conversation.id, thread)
        self._subscriptions.send_session_stopped(person.id, conversation.id, thread, stopped)

    def can_stop(self, channel: str, thread: str) -> bool:
        """Slack shows its Stop control while a session is processing, if the app subscribed to its event."""
        state = self._workspace.thread_state(channel, thread)
        return (
            state.session == "processing"
            and "agent_session_stopped" in self._subscriptions.event_types
        )

    async def rename(self, user: str, channel: str, thread: str, title: str) -> None:
        """Gives the session another title."""
        person, conversation = (
            self._workspace.user(user),
            self._workspace.channel_for(self._workspace.user(user).id, channel),
        )
        self._workspace.set_session(conversation.id, thread, title=title)
        self._subscriptions.send_session_title_changed(person.id, conversation.id, thread, title)

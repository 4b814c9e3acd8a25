"""The kinds of after-work: what is done for an answer besides its text. See `bot.answers.after_work`."""

from __future__ import annotations

from enum import StrEnum


class Chore(StrEnum):
    """One kind of after-work. The names are stored."""

    SHOW_QUESTION = "show_question"
    """Show the question in the thread, because it came through the API."""
    REMOVE_QUEUED_REACTION = "lift_mark"
    """Remove the reaction that marks a question as queued."""
    CLEAR_STATUS = "clear_status"
    """Remove the line "is thinking…"."""
    END_SESSION = "end_session"
    """End the agent session, which also removes Slack's own Stop control."""
    DELETE_LEFTOVERS = "delete_leftovers"
    """Delete messages of earlier attempts that the complete answer does not need."""
    FIND_STRAYS = "find_strays"
    """Delete messages that an earlier call created without anyone learning of them."""
    WRITE_AGAIN = "write_again"
    """Write the complete text once more: an earlier worker's late edit may have replaced it."""
    NOTIFY_REFUSED = "tell_refused"
    """Tell the asker why Slack does not let the answer be written."""
    TITLE = "title"
    """Have a model write the chat's title."""
    SHOW_TITLE = "show_title"
    """Show a new title in the chat's header."""
    NAME_SESSION = "name_session"
    """Show a new title in Slack's list of conversations."""
    SHOW_APPROVALS = "show_approvals"
    """Ask for a decision about tool calls."""
    SHOW_DECISIONS = "show_decisions"
    """Show what was decided about tool calls, or how they ended."""
    SHOW_STOP = "show_stop"
    """Show the Stop button in the chat's header."""
    SHOW_TRANSCRIPT = "show_spoken"
    """Show the transcript of the question's voice clips."""
    SHOW_PICTURES = "show_pictures"
    """Upload the pictures that the model has made to the thread."""
    HIDE_STOP = "hide_stop"
    """Remove the Stop button from the chat's header."""

"""Private notices after a button press or click that did not have the expected effect."""

from __future__ import annotations

ONLY_ASKER_CHOOSES = (
    "Only <@{user}> can pick a model here, because it's their question. "
    "Mention me to ask one of your own."
)
ALREADY_STARTED = "This chat has already started."
MODEL_NOT_OFFERED = "That model isn't offered here any more. Please choose another one."
REQUEST_UNKNOWN = "I don't know this question any more. Please mention me again."
NOTHING_TO_STOP = "No answer is being written right now."
NOTHING_TO_RETRY = "This answer is already being tried again, or has been answered."
ANSWER_IN_PROGRESS = (
    "An answer is being written in this chat. Wait for it to finish, then try again."
)
SAVE_FAILED = "I couldn't save that just now. Please try again in a moment."
FEEDBACK_THANKS = "Thanks for the feedback."

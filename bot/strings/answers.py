"""Texts in and below an answer, and beside it while it is being written."""

from __future__ import annotations

from bot.languages.texts import Plural

THINKING = "is thinking…"
THINKING_SECONDS = "is thinking… {seconds} s"
SEARCHING = "is searching the web…"
USING_TOOL = "is using {name}…"
ASKING_FOR_TOOL = "asks whether it may use {name}"
THOUGHT = "Thought"
THOUGHT_FOR = "Thought for {seconds} s"
SEARCHED = "Searched the web"
SEARCH_REFUSED = "Without a web search, which the provider refused"
SCAN_REFUSED = "This model doesn't take scanned pages: the answer is without them"
TOOLS_LEFT_OUT = "Not all tools can be used: their descriptions are too long for this model"
EFFORT_REFUSED = "Without the chosen reasoning effort, which the model doesn't take"
STEP_TOOK = "{step} · {seconds:.1f} s"
STEP_ENDED = "{step} – {ending}"
STEP_FAILED = "failed"
STEP_DENIED = "denied"
STEP_UNKNOWN = "outcome unknown"
STOPPED_MARK = "_stopped_"
NOTHING_WRITTEN = "…"
ANSWER_FALLBACK = "An answer"
STOP_BUTTON = "Stop"
RETRY_BUTTON = "Retry"
GOOD_ANSWER = "Good answer"
BAD_ANSWER = "Bad answer"
SUMMARISED = Plural("{count} earlier message summarised", "{count} earlier messages summarised")
OMITTED = Plural("{count} earlier message left out", "{count} earlier messages left out")
CUT_BY_LENGTH = "cut short: it reached its length limit"
SOURCE = "{number}. <{url}|{title}>"
STOPPED_BY = "stopped by <@{user}>"
ANSWERS = "answers {link}"
SECONDS = "{seconds:.1f} s"
TOKENS = Plural("{count:,} token", "{count:,} tokens")
TOKENS_CACHED = Plural(
    "{count:,} token ({cached:,} cached)", "{count:,} tokens ({cached:,} cached)"
)
COST = "${dollars:.4f}"
MESSAGES_LEFT = Plural("{count} message left", "{count} messages left")
CHAT_FULL_NOW = "this chat is full"
CANNOT_WRITE: dict[str, str] = {
    "not_in_channel": "I couldn't answer you in <#{channel}>, because I'm not a member there any more. "
    "Invite me again (`/invite @Bobbin`) and ask once more, or ask me here.",
    "is_archived": "I couldn't answer you in <#{channel}>, because it has been archived. You can ask me here.",
    "restricted_action": "I couldn't answer you in <#{channel}>, because I'm not allowed to write there. "
    "You can ask me here.",
}
"""The direct message to a user when Bobbin cannot write where they asked."""
CANNOT_WRITE_OTHERWISE = (
    "I couldn't answer you in <#{channel}>, because Slack refused what I wrote there ({code}). "
    "Ask me here, or tell the person who runs Bobbin."
)
"""The same for any other reason; `code` is Slack's name for it."""
CANNOT_WRITE_HERE = (
    "I couldn't answer you, because Slack refused what I wrote ({code}). "
    "Please tell the person who runs Bobbin."
)
"""The same for a conversation that is a direct message itself."""
SENT_THROUGH_API = "{name} (via API): {text}"
SENT_WITH_IMAGES = Plural("with an image", "with {count} images")
SENT_WITH_DOCUMENTS = Plural("with a document", "with {count} documents")
PICTURE_ALT = "A picture that {model} made"
PICTURES_MADE = Plural("_I made a picture._", "_I made {count} pictures._")
"""Replaces the text of an answer that has none."""
PICTURES_WITHOUT_SCOPE = (
    ":warning: I may not show here what I drew: I need the scope `{scope}`, which an admin can add to the app. "
    "It is kept in the chat, and the API has it: `GET /chat/conversations/{id}`."
)
PICTURES_REFUSED = (
    ":warning: Slack doesn't let me show here what I drew ({reason}); an admin may know more. "
    "It is kept in the chat, and the API has it: `GET /chat/conversations/{id}`."
)

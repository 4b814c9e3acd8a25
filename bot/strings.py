"""Every text that a person reads, in one place: one voice, short, kind, without jargon.

Written in English here, translated in the catalogues of `bot.languages`, and read as `strings.NAME` in the language
that is spoken: see `bot.languages.texts`. A sentence made of several texts is in `bot.sentences`.
"""

from __future__ import annotations

from bot.access.rules import Verdict
from bot.languages.texts import Plural, translatable

translatable(__name__)

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
EFFORT_REFUSED = "Without the chosen reasoning effort, which the model doesn't take"
STEP_TOOK = "{step} · {seconds:.1f} s"
STEP_ENDED = "{step} – {ending}"
STEP_FAILED = "failed"
STEP_DENIED = "denied"
STEP_UNKNOWN = "outcome unknown"
STOPPED_MARK = "_stopped_"
NOTHING_WRITTEN = "…"
ANSWER_FALLBACK = "An answer"

NEW_CHAT = "New chat"
NEW_CONVERSATION = "New conversation"

MENU_PROMPT = "Which model should answer?"
MENU_ASKS = "What would you like to ask? Reply in this thread, and choose a model."
MENU_PLACEHOLDER = "Search all models"
MENU_MORE = " · {shown} of {total}: type to find the others"
"""Follows a provider's name in the menu when Slack has no room for all of its models."""
MENU_NO_MODELS = (
    "No models can be reached at the moment. "
    "Open the menu again in a minute; your question is kept until then."
)
MENU_FALLBACK = "Choose a model to start"
START_HINT = "I start as soon as you pick a model. Only <@{user}> can pick."
WAITING_FOR_TEXT = "What would you like to ask? Reply in this thread."
START_BUTTON = "Start with {model}"
STOP_BUTTON = "Stop"
RETRY_BUTTON = "Retry"

CONTEXT_UNREAD = (
    "Slack didn't let me read what else was said in this thread, so I answer without it. "
    "Please repeat here what I should know."
)
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

APPROVAL_ASKS = "I'd like to call the tool {tool}. Only <@{user}> can allow it."
APPROVAL_CALL = "The tool {tool}, with:"
APPROVAL_FALLBACK = "A call of the tool {tool}"
APPROVAL_ONCE_BUTTON = "Allow once"
APPROVAL_ALWAYS_BUTTON = "Always in this chat"
APPROVAL_DENY_BUTTON = "Deny"
APPROVAL_CUT = "[{count} more characters]"
APPROVAL_ALLOWED = "Allowed by <@{user}>."
APPROVAL_DONE = "Allowed by <@{user}>, and done."
APPROVAL_FAILED = "Allowed by <@{user}>, but it failed."
APPROVAL_DENIED = "Denied by <@{user}>."
APPROVAL_LAPSED = "Nobody allowed this call in time, so it wasn't made."
APPROVAL_STOPPED = "The answer was stopped, so it wasn't called."
APPROVAL_UNKNOWN = (
    "I don't know whether this call took effect. I won't repeat it. "
    "Please check before you ask for it again."
)
APPROVAL_NOT_YOURS = "Only <@{user}> can decide about this, because it's their question."
APPROVAL_DECIDED = "This has already been decided."
APPROVAL_UNKNOWN_CALL = "I don't know this call any more. Please ask again."

GOOD_ANSWER = "Good answer"
BAD_ANSWER = "Bad answer"

WEB_SEARCH_LABEL = "Web search"
WEB_SEARCH = "Search the web"
REASONING_LABEL = "Reasoning effort"
EFFORT_OPTIONS = {
    "default": "Reasoning: default",
    "low": "Reasoning: low",
    "medium": "Reasoning: medium",
    "high": "Reasoning: high",
}
HEADER_SEARCHES = "searches the web"
HEADER_EFFORT = {
    "low": "low reasoning effort",
    "medium": "medium reasoning effort",
    "high": "high reasoning effort",
}
HEADER_INSTRUCTIONS = "with this channel's instructions"
HEADER_STARTED_BY = "started by <@{user}>"
HEADER_ALWAYS = (
    "You always use this model. To use another one once, start with *New chat* "
    "(Home tab or shortcuts menu)."
)
CONTINUE_BUTTON = "Continue in a new chat"
CONTINUED_FROM = "Continued from <{link}|{title}>"
CONTINUED_FROM_API = "Continued from *{title}*"
CONTINUED_IN = "Continued in <{link}|a new chat>"
SUCCESSOR_FALLBACK = "A chat that comes from another one"
CONTINUING = "I'm summarising this chat. In a moment it goes on in a new thread."
CONTINUED_HERE = "This chat goes on in <{link}|a new thread>."
ASK_ANOTHER = "Ask another model"
BRANCH_OF = "{model} is asked here what <{link}|{title}> was asked:"
BRANCH_OF_API = "{model} is asked here what *{title}* was asked:"
BRANCHED_TO = "Also asked: {links}"
BRANCH_LINK = "<{link}|{model}>"
BRANCHING = "I'm asking {model} the same in a new thread."
BRANCHED_HERE = "{model} was asked the same in <{link}|a thread of its own>."
CHAT_FULL = "This chat is full: it has reached its {count} messages."
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

PLACE = "<#{channel}>"
PLACE_DIRECT = "direct messages"
PLACE_API = "API"
MESSAGES = Plural("{count} message", "{count} messages")
AGE_NOW = "just now"
AGE_MINUTES = "{count} min ago"
AGE_HOURS = "{count} h ago"
AGE_DAYS = "{count} d ago"
CHATS_NONE = "You have no chats yet. Mention me in a channel or write to me directly to start one."
CHATS_NOT_FOUND = "None of your chats contains “{words}”."
CHATS_HEADING = "Your chats"
CHATS_FOUND = "Your chats with “{words}”"
CHATS_PAGE = "{first}–{last} of {total}"
CHATS_NEWER = "Newer"
CHATS_OLDER = "Older"
CHATS_REFRESH = "Refresh"
LIST_NOT_SHOWN = "I couldn't read your chats just now. Please try again in a moment."
SEARCH_TOO_LONG = (
    "That search took too long, so I ended it. Please try other words, or page through all chats."
)
HOME_NOT_SHOWN = "I couldn't update my Home tab just now. Please open it again in a moment."
CHATS_FALLBACK = "Your chats"
CHATS_HELP = (
    "*What you can do*\n"
    "• Mention me in a channel, or write to me directly: a chat starts in that thread\n"
    "• `{command}` lists your chats, newest first\n"
    "• `{command} WORDS` finds chats by title and text\n"
    "• `{command} new` opens a dialog for a new chat, `{command} new TEXT` with your first message in it\n"
    "• `{command} token` gives you an API token and lists yours, `{command} token 30d` one that ends by itself; "
    "`{command} token revoke` ends them all\n"
    "• `{command} here` opens this channel's settings, for admins\n"
    "• `{command} usage` shows what you have used, today and this month\n"
    "• `{command} help` shows this"
)

DIALOG_TITLE = "New chat"
DIALOG_TITLE_ABOUT = "Ask Bobbin about this"
DIALOG_START = "Start"
DIALOG_ASK = "Ask"
DIALOG_CANCEL = "Cancel"
DIALOG_MODEL = "Model"
DIALOG_MESSAGE = "First message"
DIALOG_MESSAGE_MORE = "Message"
DIALOG_PLACEHOLDER = "What would you like to ask?"
DIALOG_IN_CHANNEL = (
    "The chat starts in <#{channel}> (or in our direct messages, if I'm not in that channel)."
)
DIALOG_IN_THREAD = (
    "The chat starts in this message's thread "
    "(or in our direct messages, if I'm not in that channel)."
)
DIALOG_IN_DIRECT = "The chat starts in our direct messages."
DIALOG_IN_CHAT = "Your message goes to the chat *{title}* in this thread, with {model}."
DIALOG_FILES = "Included files: {names}."
DIALOG_NO_TEXT = "Write what you would like to ask."
DIALOG_TOO_LONG = (
    "At most {most:,} characters fit here; these are {count:,}. More can follow in the thread."
)
DIALOG_NO_MODEL = "Choose a model."
DIALOG_NOT_OPENED = "Slack didn't let me open the dialog this time. Please try again."
ASKED = "<@{user}> asks:"
ASKED_WITH = "With {names}"
STARTED_IN_DIRECT_MESSAGES = "{reason}, so we talk here."
LINK_TO_DIRECT_MESSAGES = "{reason}, so your chat is <{link}|in our direct messages>."
OTHER_PLACE_REASONS: dict[str, str] = {
    "not_in_channel": "I'm not in <#{channel}>",
    "is_archived": "<#{channel}> has been archived",
    "restricted_action": "I'm not allowed to write in <#{channel}>",
    "direct": "I'm not in that conversation",
    "": "I couldn't write in <#{channel}>",
}
"""Why a chat was started elsewhere than where it was asked for."""
CHAT_NOT_STARTED = "I couldn't start your chat here. Please try again in another place."

HOME_INTRO = (
    "Mention me in a channel, or write to me directly, to start a chat with a language model. "
    "Reply in its thread to go on."
)
HOME_MODEL = "*Your model*\nIt is preselected whenever you start a chat."
HOME_MODEL_GONE = "*Your model*\n{model} isn't offered any more. Please choose another one."
HOME_NO_MODELS = (
    "*Your model*\nNo models can be reached at the moment. Please look again in a minute."
)
HOME_ALWAYS = "Always use it"
HOME_ALWAYS_HINT = "Your questions are answered at once, without a menu"
HOME_SEARCH = "Find chats"
HOME_SEARCH_HINT = "Words from titles and texts, then Enter"
HOME_ALL = "Show all"
HOME_COUNT = Plural("{shown} chat", "{shown} chats")

FILE_UNNAMED = "a file"
AND = "{rest} and {last}"
FILES_CUT = (
    "I read only the beginning of {names}: attached texts may have {count:,} characters together."
)
NO_VISION = "{model} can't see images, so it answers without {names}."
NO_VISION_AND_NO_TEXT = "{model} can't see images, and there is nothing else in your message."
NO_VISION_SUGGESTIONS = "Models that can: {models}."
NO_VISION_CHOOSE = "Please choose one that can: {models}."
FILE_PROBLEMS: dict[str, str] = {
    "kind": "I can't read {names}. I take images (png, jpeg, gif, webp), documents (pdf, docx, xlsx, pptx, odt, ods, "
    "rtf, epub, html, eml) and text files: share it as one of those, or paste its text.",
    "broken": "I can't open {names} as an image. Please save it as png or jpeg and share it again.",
    "too_large": "I can't take {names}: that image is too large. Please share a smaller one.",
    "scan": "I found no text in {names}. If these are scanned pages, please share them as images, or paste the text.",
    "locked": "I can't read {names}, which needs a password. Please share it without one.",
    "broken_document": "I can't open {names}: the file seems to be damaged. Please save it anew and share it again.",
    "old_format": "I can't read {names}, in a format of Office before 2007. Please save it as docx, xlsx or pptx and "
    "share it again.",
    "too_complex": "I can't read {names}: it takes too much time or memory. Please share the part that matters.",
    "large_document": "I can't take {names}: a document may have at most 20 MB. Please share the part that matters.",
    "large_clip": "I can't take {names}: a voice clip may have at most 20 MB. Please record a shorter one.",
    "no_words": "I heard no words in {names}. Please record it again, or write instead.",
    "not_heard": "I couldn't turn {names} into text just now. Please share it again in a moment, or write instead.",
    "busy": "I couldn't read {names} in time, since many documents are being read. Please share it again in a moment.",
    "too_many": "I left out {names}, since a message may carry at most 10 files. Please send the rest in another one.",
    "gone": "I can't find {names} in Slack: it was deleted, or shared where I'm not. Please share it here.",
    "hidden": "Slack hides {names}, since this workspace has reached its limits. Please share it again.",
    "external": "I can't read {names}, which isn't kept in Slack. Please upload it to Slack itself.",
    "no_access": "Slack didn't let me read {names}. Please ask the person who runs Bobbin to add the permission "
    "files:read, then share it again.",
    "unreachable": "I couldn't get {names} from Slack just now. Please share it again in a moment.",
}
"""What a person reads for each reason why a shared file couldn't be read."""

SUGGESTED_PROMPTS_TITLE = "What would you like to ask?"
SUGGESTED_PROMPTS = (
    ("Summarise a text", "Summarise the text that I paste next, in five bullet points."),
    ("Explain something", "Explain how a hash table works, with a small example in Python."),
    (
        "Draft a message",
        "Draft a friendly message that tells my team the release moves to Thursday.",
    ),
    (
        "Think it through",
        "Help me decide: ask me five questions, one at a time, then give me your advice.",
    ),
)
"""Title and message of what is suggested in an empty pane."""

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

ADMINS_ONLY = "Only admins and owners of this workspace can do that{more}. Please ask one of them."
ADMINS_TOO = ", and {names}"
CHANNEL_ONLY = "Only channels have settings of their own. Use this command in a channel."
CHANNEL_TITLE = "This channel's settings"
CHANNEL_SAVE = "Save"
CHANNEL_INSTRUCTIONS = "Instructions"
CHANNEL_INSTRUCTIONS_HINT = "What every model is told in chats that start here from now on."
CHANNEL_MODEL = "Default model"
CHANNEL_MODEL_HINT = "Preselected for people who have set no model of their own."
CHANNEL_NO_DEFAULT = "No default model"
CHANNEL_MENU = "Menu of models"
CHANNEL_SKIP_MENU = "Skip the menu here"
CHANNEL_TOOLS = "Tools that may be used"
CHANNEL_TOOLS_HINT = "None chosen: all that the operator allows. Changes apply at once, in chats that have started too."
CHANNEL_TOOLS_PLACEHOLDER = "Search for tools"
CHANNEL_ASKED_TOOLS = "Tools that ask first"
CHANNEL_ASKED_TOOLS_HINT = (
    "Besides those that always do: they wait until whoever asked the question allows the call."
)
CHANNEL_NO_TOOLS = "No tools"
CHANNEL_ALL_TOOLS = "{server}: all tools"
CHANNEL_HINT = (
    "Instructions and model are for new chats in <#{channel}>. Chats that have started keep theirs."
)
CHANNEL_SAVED = (
    "Saved. Chats that start in <#{channel}> from now on use these instructions and this model."
)

NOT_ALLOWED: dict[Verdict, str] = {
    Verdict.USER_NOT_ALLOWED: "Only some people may use me here, and you aren't among them yet. "
    "Please ask the person who runs Bobbin.",
    Verdict.CHANNEL_NOT_ALLOWED: "I may not answer in this channel. Please ask me in another one, "
    "or ask the person who runs Bobbin to allow this one.",
    Verdict.CHANNEL_LEFT: "You aren't in that channel any more, so nothing was done there. "
    "Ask somebody in it to invite you, then try again.",
    Verdict.OUTSIDER: "I only answer people of the organisation that added me. "
    "Please ask somebody there, or the person who runs Bobbin.",
    Verdict.GUEST: "I don't answer guests of this workspace. "
    "Please ask one of its members, or the person who runs Bobbin.",
    Verdict.DEACTIVATED: "This account is deactivated.",
    Verdict.UNKNOWN: "Slack couldn't tell me whether you are a member of this workspace, so I can't answer "
    "you yet. Please try again in a moment.",
}
"""What somebody who may not reads, in Slack and from the API."""

SENT_THROUGH_API = "{name} (via API): {text}"
SPOKEN = "{name} said: {text}"
SENT_WITH_IMAGES = Plural("with an image", "with {count} images")

API_ACCESS_ISSUED = (
    "Your API token, shown only this once:\n```{token}```\n"
    "Anyone with this token can read and write your chats in this workspace. "
    "`{command} token revoke` ends it. How to use it: docs/api.md, or /docs at Bobbin's address."
)
API_ACCESS_LIFE = (
    "I don't understand how long the token should be valid. "
    "Use a number of hours, days or weeks, for example `{command} token 30d`."
)
API_ACCESS_HEADING = "*Your API tokens* ({count})"
API_ACCESS_MORE = Plural("…and {count} older one", "…and {count} older ones")
API_ACCESS_LINE = "• made {date}, {ends}, {used}"
API_ACCESS_ENDS = "ends {date}"
API_ACCESS_ENDLESS = "valid until revoked"
API_ACCESS_USED = "last used {date}"
API_ACCESS_UNUSED = "never used"
API_ACCESS_REVOKED = "Done: all your API tokens are revoked."
API_ACCESS_NONE = "You have no API token."

FAILURES: dict[str, str] = {
    "unreachable": "{model} couldn't be reached. Please try again in a moment.",
    "timeout": "{model} took too long to respond. Please try again.",
    "server_fault": "{model}'s provider has a problem at its end. Please try again in a moment.",
    "busy": "{model} is very busy at the moment. Please wait a little and try again, or choose another model.",
    "broken_off": "The connection to {model} broke off before the answer was complete. Please try again.",
    "empty": "{model} sent an empty answer. Please try again.",
    "garbled": "{model}'s provider sent something that isn't an answer. Please try again; if it happens again, "
    "tell the person who runs Bobbin.",
    "key_rejected": "{model}'s provider doesn't accept my key. Please tell the person who runs Bobbin, or choose "
    "another model.",
    "no_access": "{model}'s provider doesn't let me use this model. Choose another model, or tell the person who runs "
    "Bobbin.",
    "region": "{model}'s provider doesn't serve the region that I run in. Choose another model, or tell the person who "
    "runs Bobbin.",
    "data_policy": "The privacy settings of my account exclude every provider of {model}. Choose another model, or "
    "tell the person who runs Bobbin.",
    "blocked": "Something between me and {model}'s provider, such as a proxy or a firewall, refused my request. Please "
    "tell the person who runs Bobbin, or choose another model.",
    "no_credit": "There is no credit left at {model}'s provider. Please tell the person who runs Bobbin, or choose "
    "another model.",
    "daily_limit": "{model}'s provider allows no more for now: a limit for a day or longer is reached. Choose another "
    "model, or try again when it resets.",
    "out_of_memory": "{model}'s server has too little memory for it. Choose a smaller model, or tell the person who "
    "runs Bobbin.",
    "pictures_only": "{model} answered with pictures that I couldn't read. Ask for words, or choose another model.",
    "wrong_address": "I couldn't find {model} at its provider's address. Please tell the person who runs Bobbin, or "
    "choose another model.",
    "model_gone": "{model} isn't available any more. Choose another model, and it will answer the same message.",
    "too_long": "This chat has become too long for {model}. Choose a model with a larger context window, or start "
    "a new chat.",
    "filtered": "{model}'s provider withheld the answer because of its content rules. Try asking in another way, or "
    "choose another model.",
    "budget": "A budget is used up, so {model} couldn't go on. Please try again when it begins anew.",
    "unreadable": "I couldn't read what you attached, and there is nothing else in your message{detail}. "
    "Please try again, or share it in another form.",
    "refused": "{model}'s provider refused the request. Try asking in another way, choose another model, or start a "
    "new chat.",
    "provider_error": "Something went wrong while {model} was answering. Please try again.",
}
"""What a person reads for each `ProviderError.code`."""
FAILURE_REASON = "The provider says: “{reason}”"


PICTURE_ALT = "A picture that {model} made"
PICTURES_MADE = Plural("_I made a picture._", "_I made {count} pictures._")
"""In place of the text of an answer that has none."""
PICTURES_WITHOUT_SCOPE = (
    ":warning: I may not show here what I drew: I need the scope `{scope}`, which an admin can add to the app. "
    "It is kept in the chat, and the API has it: `GET /chat/conversations/{id}`."
)
PICTURES_REFUSED = (
    ":warning: Slack doesn't let me show here what I drew ({reason}); an admin may know more. "
    "It is kept in the chat, and the API has it: `GET /chat/conversations/{id}`."
)

EXPORT_HEADING = "# {title}\n\n{model} · started by {owner} · {began} · {count} messages\n\n"
EXPORT_CONTEXT = "## Before\n\n{text}\n\n"
EXPORT_IMAGE = "_(Image: {name})_"
EXPORT_FILE = "_(File that was not read: {name})_"
EXPORT_UNANSWERED = "_(No answer)_"
EXPORT_READY = "Here is the chat *{title}* as a file."
EXPORT_SENT = "I sent you the chat as a file, in our direct messages."
EXPORT_SENT_AS_TEXT = (
    "I sent you the chat in our direct messages, as text: to send files, I need the scope "
    "`files:write`, which an admin can add to the app."
)
EXPORT_AS_TEXT = "Here is the chat *{title}*:"
EXPORT_CUT = (
    "The chat is longer than what I can send as text. For the whole of it, ask an admin to add the scope "
    "`files:write` to the app, or get it through the API: `GET /chat/conversations/{id}/export`."
)
EXPORT_FAILED = "I couldn't send you the chat just now. Please try again in a moment."
EXPORT_BUTTON = "Export"
RENAME_BUTTON = "Rename"
RENAME_TITLE = "Rename this chat"
RENAME_LABEL = "Title"
RENAME_SAVE = "Save"
RENAME_EMPTY = "Write a title."
HEADER_MENU_UNKNOWN = "I don't know this chat any more."

"""Texts that are always English: for API clients, for models, and for the people who install the bot."""

from __future__ import annotations

SCAN_NOT_SENT = "[Attached: {name}, scanned pages that you could not be given]"

# -- for API clients ---------------------------------------------------------------------------------------------

LIMIT_REACHED = "Rate limit reached. This conversation has reached the maximum number of messages."
NO_MODELS = "No models can be reached at the moment. Please try again in a minute."
LIMIT_SHORT = "Rate limit reached"
BRANCH_WITHOUT_MODEL = "Name the model that is to be asked, as `model`."
APPROVAL_NOT_YOURS = "Only whoever asked the question decides about its tool calls."
IMAGE_TOO_LARGE = "An image may have at most {megabytes} MB."
IMAGE_UNKNOWN = "Images must be png, jpeg, gif or webp."
IMAGE_BROKEN = "One of the images can't be opened. The file may be damaged."
IMAGE_TOO_MANY_PIXELS = "One of the images has too many pixels."
IMAGE_NOT_BASE64 = "An image must be a data URL or base64."
IMAGE_NOT_FETCHED = "Images are not fetched from addresses: send a data URL or base64."
FILE_NOT_BASE64 = "The content of {name} isn't valid base64."
FILE_TOO_LARGE = "A file may have at most {megabytes} MB."
IMAGES_TOO_MANY = "A message may carry at most {count} images."
MODEL_CANNOT_SEE = (
    "{model} can't see images. Start a chat with a model that can, or leave the images out."
)
TEXTS_TOO_MANY = "A message may carry at most {count} texts."
TEXTS_TOO_LONG = "The texts of a message may have at most {count:,} characters together."

# -- in prompts, and in what is stored of them -------------------------------------------------------------------

FORWARDED = "Forwarded message:"
FORWARDED_FROM = "Forwarded message from {name}:"
UNKNOWN_PERSON = "Somebody"
GROUP = "group"
"""Stands for the name of a user group that Slack has not provided."""
PRIVATE_CHANNEL = "private channel"
"""Stands for the name of a channel that is not public: `#private channel`."""
CALL_LOST = "It is not known whether this call took effect: the process that made it ended."
CALL_BROKEN = "The connection ended before the tool answered."
CALL_LATE = "The tool did not answer in time."
CALL_ERROR = "The server answered with an error: {reason}."
CALL_UNREADABLE = "The tool answered, but not as the protocol says, so its answer cannot be read."
CALL_UNKNOWN = (
    "[{cause} The call may have taken effect. Do not call it again before the user has confirmed that. "
    "Tell the user.]"
)
"""`cause`: one of the five texts above."""
CALL_REPEATABLE = (
    "[{cause} The tool's server says that calling it again does no harm: you may. If that fails too, "
    "tell the user.]"
)
CALL_STOPPED = "[The answer ended during this call, which may have taken effect. Tell the user.]"
CALL_STOPPED_HARMLESS = (
    "[The answer ended during this call. The tool's server says that calling it again does no harm]"
)
CALL_NOT_BEGUN = "[The answer ended before this call was made]"
CALL_EXPIRED = "[The user did not decide about this call within a day, so it was not made]"
CALL_UNASKABLE = "[Not called: the user could not be asked, because Slack takes no messages for this conversation]"
CALL_DENIED = "[The user has not allowed this call]"
CALL_FORBIDDEN = "[Not called: the admins of this channel do not allow this tool]"
CALL_OVER_BUDGET = "[Not called: a budget is used up]"
CALLS_TOO_MANY = "[Not called: an answer may make {count} calls. Answer with what you know.]"
CALL_OF_NOTHING = "[Not called: there is no such tool]"
CALL_MALFORMED = "[Not called: the arguments are not a JSON object]"
CALL_WANTS_INPUT = "[The tool asks for more than its arguments, which is not possible here]"
CALL_REFUSED = "[The server refused the call: {reason}]"
TOOL_AWAY = "[The tool is not available now]"
SERVER_AWAY = "[The tool's server is not available now]"
NOTHING_RETURNED = "[The tool returned nothing]"

# -- for the people who install or try the bot, whose language is unknown ----------------------------------------

INSTALL = "Chat with language models in your Slack."
INSTALL_LINK = "Add to Slack"
INSTALL_BEGIN = "Open this page in a browser."
INSTALL_DONE = (
    "Installed. In Slack, invite Bobbin to a channel (/invite @Bobbin) and mention it, "
    "or write to it directly."
)
INSTALL_OPEN = "Open Slack"
INSTALL_AGAIN = "Begin again"
INSTALL_DECLINED = "Nothing was installed: Slack said that it was declined ({reason})."
INSTALL_STALE = (
    "Nothing was installed: this link was made in another browser, was used before, "
    "or is older than ten minutes."
)
INSTALL_REFUSED = "Nothing was installed: Slack didn't confirm it ({reason})."
INSTALL_UNREACHED = (
    "Nothing was installed: Slack couldn't be reached. Please try again in a moment."
)
INSTALL_NOT_KEPT = "Nothing was installed: it couldn't be stored. Please try again in a moment."
SANDBOX_READY = """
  Bobbin's sandbox is open at  {address}  {models}
  To try: write “@Bobbin how do tides work?” in #general. For programs: {api}
  To end: Ctrl-C. The workspace and its chats are kept; `--fresh` starts over.
"""
SANDBOX_DEMO = "with demo models; for real ones set OPENROUTER_API_KEY"
SANDBOX_MODELS = "with the models of {providers}"
SANDBOX_TIPS = (
    "Write *@Bobbin how do tides work?* in #general, pick a model and watch the answer arrive.",
    "Reply in the thread to go on. Write while an answer is being written: your message gets "
    ":hourglass_flowing_sand: and its turn.",
    "Switch to another person at the top right and reply in the same thread: the model sees who says what.",
    "`/chats` lists and finds your chats. The app's *Home* tab does too, and keeps your usual model.",
    "Open the ⋮ menu of any message and choose *Ask Bobbin about this*.",
    "End the process in the middle of an answer and start it again: the answer is finished in the same message.",
)
"""Suggestions of what to try, as mrkdwn, on the first page of the sandbox."""
SANDBOX_TIP_DEMO = "Pick *Demo: Fails* to see a failure: `Retry` answers the same message again, in the same place."
SANDBOX_TIP_TOOLS = (
    "Pick *Demo: Toolsmith* and write *add a note: tea at four*: before it changes anything it waits for your "
    "`Allow once` or `Deny`."
)
MODELS_WITHOUT_PRICE = (
    "nobody has told yet what these offered models cost, so they do not count in it: {names}; set a budget in tokens "
    "to limit them"
)
AND_MORE = " and {count:,} more"

"""Every error class of the project, drawn as one tree; this module holds those that several layers share.

    BobbinError
    ├── SettingsError                  a setting is missing or invalid; the message names the variable and the remedy
    ├── StorageError                   the database or Redis refused or cannot be reached
    │   ├── Conflict                   (storage.engine.database) a unique constraint refused a row
    │   ├── DatabaseFailed             (storage.engine.database) it refused, did not respond, or is down; says why
    │   ├── RedisLost                  (storage.coordination.base) Redis cannot be used; says why
    │   ├── SearchTooLong              a search by words took longer than it may
    │   ├── SlowSubscriber             (storage.coordination.base) a subscriber did not read its events in time
    │   └── WrongKey                   (storage.encryption) none of the keys can decrypt what is stored
    ├── ChatError                      the request cannot be fulfilled for this chat
    │   ├── ChatNotFound               no such chat, or somebody else's
    │   ├── PlaceNotAllowed            the operator's rules do not allow the chat's channel
    │   ├── LimitReached               the next pair of messages would exceed BOBBIN_MAX_MESSAGES
    │   ├── BudgetReached              (bot.usage.limits) a budget or rate allows no more now
    │   ├── ChatBusy                   an answer is being written and the caller cannot wait
    │   │   ├── NothingToRetry         the answer has not failed, or is being retried already
    │   │   └── AlreadyDecided         the tool call has already been decided, or will not be made
    │   ├── NotTheAsker                only the asker decides about the tool calls
    │   ├── ModelNotAllowed            the model is not offered here, or no longer in the provider's list
    │   │   └── NoModelOffered         no provider offers a model at the moment
    │   ├── InvalidInput               empty, too long or of the wrong type; the message is a sentence for the user
    │   └── FileProblem                a shared file cannot be read; `code` says why
    ├── NotInstalled                   (handlers.client.errors) the app is not installed in this workspace (any more)
    ├── Replaced                       (handlers.rate_limits.dispatcher) a newer queued call sets the same
    ├── SlackError                     (handlers.client.errors) a call to Slack did not succeed
    │   ├── SlackRejected              (handlers.client.errors) Slack refused; the same call would be refused again
    │   ├── RateLimited                (handlers.client.errors) HTTP 429; the call took no effect
    │   ├── TooLate                    (handlers.client.errors) it did not get its turn in time; it took no effect
    │   ├── Superseded                 (handlers.client.errors) replaced by a newer call that sets the same
    │   ├── ConnectFailed              (handlers.client.errors) no connection; the call took no effect
    │   └── OutcomeUnknown             (handlers.client.errors) the call may or may not have taken effect
    │       └── Unanswered             (handlers.client.errors) no response; the call may take effect later
    └── ProviderError                  a model did not answer
        ├── Unreachable                connection refused, DNS, TLS, connect timeout            retried
        ├── ModelTimeout               silence for BOBBIN_MODEL_TIMEOUT seconds, or HTTP 408
        ├── ProviderServerError        HTTP 5xx, or an error event in the stream                retried
        ├── ModelBusy                  HTTP 429, 529, or a 5xx that says that it is overloaded  retried
        ├── StreamInterrupted          the stream broke off                                        retried
        ├── EmptyAnswer                the stream ended without text                            retried
        ├── InvalidResponse            HTML, unexpected JSON, broken lines
        ├── KeyRejected                HTTP 401, or an error that says that the key is wrong
        ├── NoAccess                   HTTP 403, or an error that says that the key may not use the model
        ├── RegionRefused              the provider does not serve the bot's location
        ├── DataPolicy                 the account's privacy settings exclude the model
        ├── Blocked                    HTTP 401, 403, 407, 451 or 511 with a web page: a proxy or a firewall
        ├── NoCredit                   HTTP 402, or an error that says so
        ├── DailyLimit                 a limit per day or longer is reached
        ├── OutOfMemory                the server has too little memory for the model
        ├── PicturesOnly               an answer that consists of pictures that cannot be read
        ├── WrongAddress               HTTP 404, 405 or 501 that does not mention a model
        ├── ModelGone                  the provider says that it does not know the model
        ├── ContextTooLong             HTTP 413, or a 400 that says that the context is too long
        ├── ContentFiltered            finish_reason content_filter, or a 4xx about content rules
        ├── BudgetUsedUp               earlier turns with tool calls have used up a budget
        ├── AttachmentsUnreadable      no model was asked: the message is only unreadable files
        ├── OwnFault                   the bot or its machine failed, not the model                     retried
        └── RequestRefused             any other 4xx
            ├── SystemRoleRefused      the model has no system role; it is asked again without one
            └── ToolsRefused           the model supports no tools; it is asked again without them
    AccessRevoked                      (bot.chats.feed_events) an API client may no longer subscribe
    ApiError                           (bot.api.errors) an HTTP response other than success
    Parked                             (bot.answers.tool_loop) an answer waits for a decision about a tool call
    DocumentBusy                       (bot.documents.reader) there is no capacity to read a document now
    DocumentError                      (bot.documents.problems) a document cannot be read; `problem` says why
    TooDeep                            (bot.api.json_bodies) a body is nested too deeply to be parsed
    TooManyParts                       (bot.api.json_bodies) a body has too many values to be parsed
    TooLarge                           (bot.chats.attachments.base64_text) a file in base64 has too many bytes
    NotBase64                          (bot.chats.attachments.base64_text) neither base64 nor a data URL with base64
    └── NotFetched                     (bot.chats.attachments.base64_text) another URL: nothing is fetched

"retried" is the class attribute `retried_automatically`. What a user reads for each `code` is in `bot.strings`.
Classes that never leave their module and the sandbox's own errors (`bot.sandbox.errors`) are not drawn.
"""

from __future__ import annotations


class BobbinError(Exception):
    """Base class of the errors that cross layers."""


class SettingsError(BobbinError):
    """A setting is missing or invalid. The message names the variable and says what to do."""


class StorageError(BobbinError):
    """The database or Redis refused an operation or cannot be reached."""


class SearchTooLong(StorageError):
    """A search by words took too long. Repeating it would fail again unless the search is narrower."""


class ChatError(BobbinError):
    """The request cannot be fulfilled for this chat."""


class ChatNotFound(ChatError):
    """No such chat, or somebody else's."""


class PlaceNotAllowed(ChatError):
    """The operator's rules do not allow the chat's channel."""


class LimitReached(ChatError):
    """The next pair of messages would exceed BOBBIN_MAX_MESSAGES."""


class ChatBusy(ChatError):
    """An answer is being written, and the caller cannot wait."""


class NothingToRetry(ChatBusy):
    """The answer has not failed, or is being retried already."""


class AlreadyDecided(ChatBusy):
    """Somebody has already decided about the tool call, or it will not be made any more."""


class NotTheAsker(ChatError):
    """Only the person who asked the question may decide about the resulting tool calls."""


class ModelNotAllowed(ChatError):
    """The model is not offered here, or is no longer in the provider's list."""


class NoModelOffered(ModelNotAllowed):
    """No provider offers a model at the moment."""


class InvalidInput(ChatError):
    """The input is empty, too long or of the wrong type. The message is a sentence for the user."""


class FileProblem(ChatError):
    """A shared file cannot be read."""

    def __init__(self, code: str) -> None:
        """`code`: a key of `bot.strings.FILE_PROBLEMS`."""
        super().__init__(code)
        self.code = code


class ProviderError(BobbinError):
    """A model did not answer."""

    code = "provider_error"
    """Identifies the class in the database, logs and metrics, and in `bot.strings.FAILURES`."""
    retried_automatically = False
    """Whether the engine repeats the request automatically, as long as no text has been shown.

    False if the same request would fail again, or if the user has already waited long enough.
    """
    needs_other_model = False
    """Whether another model would help: the user is offered a menu beside Retry."""
    hides_model = False
    """Whether the model no longer exists: it is not offered until a fresh list names it."""
    refuses_message = False
    """Whether the provider refused the content: it would refuse it again as part of a later question."""

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        """`detail`: the provider's message, cleaned, without keys, at most 300 characters. `retry_after`: seconds."""
        super().__init__(detail or self.code)
        self.detail = detail
        self.retry_after = retry_after

    @staticmethod
    def class_of(code: str | None) -> type[ProviderError]:
        """The class with this `code`; the base class for None and for a code that this version does not know."""
        return _CLASSES.get(code or "", ProviderError)

    @staticmethod
    def codes_for_other_model() -> frozenset[str]:
        """The codes of the failures that another model would cure."""
        return frozenset(code for code, kind in _CLASSES.items() if kind.needs_other_model)


class Unreachable(ProviderError):
    """The connection was refused or timed out, or DNS or TLS failed."""

    code = "unreachable"
    retried_automatically = True


class ModelTimeout(ProviderError):
    """The model said nothing for BOBBIN_MODEL_TIMEOUT seconds, or HTTP 408."""

    code = "timeout"


class ProviderServerError(ProviderError):
    """HTTP 5xx, or an error event in the stream."""

    code = "server_fault"
    retried_automatically = True


class ModelBusy(ProviderError):
    """HTTP 429."""

    code = "busy"
    retried_automatically = True
    needs_other_model = True


class StreamInterrupted(ProviderError):
    """The stream ended in the middle of the answer."""

    code = "broken_off"
    retried_automatically = True


class EmptyAnswer(ProviderError):
    """The stream ended without text."""

    code = "empty"
    retried_automatically = True


class InvalidResponse(ProviderError):
    """HTML, unexpected JSON, or broken lines."""

    code = "garbled"


class KeyRejected(ProviderError):
    """HTTP 401, or an error that says that the key is wrong."""

    code = "key_rejected"
    needs_other_model = True


class NoAccess(ProviderError):
    """HTTP 403, or an error that says that the key is valid but may not use this model."""

    code = "no_access"
    needs_other_model = True


class RegionRefused(ProviderError):
    """The provider does not serve the bot's location."""

    code = "region"
    needs_other_model = True


class DataPolicy(ProviderError):
    """The account's privacy settings at a router exclude every server that runs the model."""

    code = "data_policy"
    needs_other_model = True


class Blocked(ProviderError):
    """HTTP 401, 403, 407 or 451 with a web page: a proxy or firewall between the bot and the provider refused the
    request.
    """

    code = "blocked"
    needs_other_model = True


class NoCredit(ProviderError):
    """HTTP 402, or an error that says that the account has no credit left."""

    code = "no_credit"
    needs_other_model = True


class DailyLimit(ProviderError):
    """A daily (or longer) limit is reached: trying again in a moment does not help."""

    code = "daily_limit"
    needs_other_model = True


class OutOfMemory(ProviderError):
    """The server has too little memory for the model."""

    code = "out_of_memory"
    needs_other_model = True


class PicturesOnly(ProviderError):
    """The answer consists only of pictures that cannot be fetched or read."""

    code = "pictures_only"
    needs_other_model = True


class WrongAddress(ProviderError):
    """HTTP 404, 405 or 501 that does not mention a model: nothing at this address speaks the format."""

    code = "wrong_address"
    needs_other_model = True


class ModelGone(ProviderError):
    """The provider says that it does not know the model (any more)."""

    code = "model_gone"
    needs_other_model = True
    hides_model = True


class ContextTooLong(ProviderError):
    """HTTP 413, or a 400 that says that the context is too long."""

    code = "too_long"
    needs_other_model = True
    refuses_message = True


class ContentFiltered(ProviderError):
    """The answer was cut off or the request refused by the provider's content rules."""

    code = "filtered"
    needs_other_model = True
    refuses_message = True


class BudgetUsedUp(ProviderError):
    """The requests made so far for the answer have used up a budget, so the model isn't asked again."""

    code = "budget"


class AttachmentsUnreadable(ProviderError):
    """The message to answer consists only of files, and none of them could be read. No model was asked."""

    code = "unreadable"


class OwnFault(ProviderError):
    """The bot or its machine failed while the model was to answer: a bug, or too many open files.

    `detail` is for the log only, because it does not come from a provider.
    """

    code = "own_fault"
    retried_automatically = True


class RequestRefused(ProviderError):
    """Any other HTTP 4xx."""

    code = "refused"
    needs_other_model = True
    refuses_message = True


class SystemRoleRefused(RequestRefused):
    """The model has no system role. The provider asks again without one (`bot.providers.refusals.system_role`)."""


class ToolsRefused(RequestRefused):
    """The model supports no tools. The provider asks again without them (`bot.providers.refusals.without_tools`)."""


_CLASSES = {error.code: error for error in ProviderError.__subclasses__()}

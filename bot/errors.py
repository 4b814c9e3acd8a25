"""Every error of Bobbin's own.

    BobbinError
    ├── SettingsError                a variable is missing or malformed; the message names it and says what to do
    ├── StorageError                 the database or Redis refused or cannot be reached
    ├── ChatError                    what was asked of a chat cannot be done
    │   ├── ChatNotFound             no such chat, or somebody else's
    │   ├── LimitReached             the next pair would exceed the chat's messages
    │   ├── ChatBusy                 an answer is being written and the caller cannot wait
    │   │   └── NothingToRetry       the answer has not failed (any more)
    │   ├── ModelNotAllowed          not offered here, or not (any more) in a provider's list
    │   ├── BadInput                 empty, too long, or of a wrong kind
    │   └── FileProblem              a file that somebody shared cannot be read; `code` tells why
    └── ProviderError                a model did not answer
        ├── Unreachable              refused connection, DNS, TLS, connect timeout          asked again
        ├── ModelTimeout             no byte for BOBBIN_MODEL_TIMEOUT seconds (or HTTP 408)
        ├── ServerFault              HTTP 5xx, or an error event in the stream              asked again
        ├── ModelBusy                HTTP 429; `retry_after` where the provider says        asked again
        ├── BrokenOff                the stream ended in mid-answer                         asked again
        ├── EmptyAnswer              it ended without a word                                asked again
        ├── Garbled                  HTML, other JSON, broken lines
        ├── KeyRejected              HTTP 401 or 403
        ├── NoCredit                 HTTP 402
        ├── ModelGone                HTTP 404, or a 400 that says the model is unknown
        ├── TooLong                  HTTP 413, or a 400 that says the context is too long
        ├── Filtered                 finish_reason content_filter, or content rules
        ├── Unreadable               not asked at all: the message is nothing but files that could not be had
        └── RequestRefused           any other 4xx

"asked again" (`retried_automatically`): the same request may succeed a moment later, so the engine sends it again by
itself as long as none of the answer has been shown. A timeout is not among them: the person has waited long enough.
What a person reads for each `code` stands in `bot.strings`.
"""

from __future__ import annotations


class BobbinError(Exception):
    """The base of all the others."""


class SettingsError(BobbinError):
    """A setting is missing or malformed."""


class StorageError(BobbinError):
    """The database or Redis refused or cannot be reached."""


class ChatError(BobbinError):
    """What was asked of a chat cannot be done."""


class ChatNotFound(ChatError):
    """No such chat, or somebody else's."""


class LimitReached(ChatError):
    """The next pair of messages would exceed what a chat may hold."""


class ChatBusy(ChatError):
    """An answer is being written, and the caller cannot wait its turn."""


class NothingToRetry(ChatBusy):
    """The answer has not failed, or is being tried again already."""


class ModelNotAllowed(ChatError):
    """The model is not offered here."""


class BadInput(ChatError):
    """Empty, too long, or of a wrong kind. The message is a sentence for the person."""


class FileProblem(ChatError):
    """A shared file cannot be read. `code` is a key of `bot.strings.FILE_PROBLEMS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ProviderError(BobbinError):
    """A model did not answer.

    `detail` is what the provider said, cleaned and at most 300 characters, without keys; `retry_after` is in seconds.
    """

    code = "provider_error"
    retried_automatically = False
    """Whether the engine sends the same request again, as long as none of the answer has been shown."""

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.retry_after = retry_after


class Unreachable(ProviderError):
    code = "unreachable"
    retried_automatically = True


class ModelTimeout(ProviderError):
    code = "timeout"


class ServerFault(ProviderError):
    code = "server_fault"
    retried_automatically = True


class ModelBusy(ProviderError):
    code = "busy"
    retried_automatically = True


class BrokenOff(ProviderError):
    code = "broken_off"
    retried_automatically = True


class EmptyAnswer(ProviderError):
    code = "empty"
    retried_automatically = True


class Garbled(ProviderError):
    code = "garbled"


class KeyRejected(ProviderError):
    code = "key_rejected"


class NoCredit(ProviderError):
    code = "no_credit"


class ModelGone(ProviderError):
    code = "model_gone"


class TooLong(ProviderError):
    code = "too_long"


class Filtered(ProviderError):
    code = "filtered"


class Unreadable(ProviderError):
    code = "unreadable"


class RequestRefused(ProviderError):
    code = "refused"

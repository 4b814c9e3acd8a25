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
        ├── Unreachable              refused connection, DNS, TLS, connect timeout          retryable
        ├── ModelTimeout             no byte for BOBBIN_MODEL_TIMEOUT seconds (or HTTP 408)  retryable
        ├── ServerFault              HTTP 5xx, or an error event in the stream               retryable
        ├── ModelBusy                HTTP 429; `retry_after` where the provider says         retryable
        ├── BrokenOff                the stream ended in mid-answer                          retryable
        ├── EmptyAnswer              it ended without a word                                 retryable
        ├── Garbled                  HTML, other JSON, broken lines                          retryable
        ├── KeyRejected              HTTP 401 or 403
        ├── NoCredit                 HTTP 402
        ├── ModelGone                HTTP 404, or a 400 that says the model is unknown
        ├── TooLong                  HTTP 413, or a 400 that says the context is too long
        ├── Filtered                 finish_reason content_filter, or content rules
        ├── Unreadable               not asked at all: the message is nothing but files that could not be had
        └── RequestRefused           any other 4xx

`retryable` means: the same request may succeed a moment later, so as long as nothing is shown it is tried again by
itself. What a person reads for each `code` stands in `bot.strings`.
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
    retryable = False

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.retry_after = retry_after


class Unreachable(ProviderError):
    code = "unreachable"
    retryable = True


class ModelTimeout(ProviderError):
    code = "timeout"
    retryable = True


class ServerFault(ProviderError):
    code = "server_fault"
    retryable = True


class ModelBusy(ProviderError):
    code = "busy"
    retryable = True


class BrokenOff(ProviderError):
    code = "broken_off"
    retryable = True


class EmptyAnswer(ProviderError):
    code = "empty"
    retryable = True


class Garbled(ProviderError):
    code = "garbled"
    retryable = True


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

"""The types of settings: addresses, credentials, lists. Each rejects values that can't be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode


@dataclass(frozen=True)
class Valid:
    """What a setting's value must be, in words that complete "NAME must be …"."""

    text: str


_VALID_CREDENTIAL = (
    "the key, token or secret as its provider shows it, without blanks, quotation marks, "
    "an ellipsis (…) or invisible characters; copy it again, whole"
)


def describe_problem(variable: str, field: FieldInfo) -> str:
    """What the variable must be, and how to fix it. A type without `Valid` is a credential."""
    for each in field.metadata:
        if isinstance(each, Valid):
            return f"{variable} must be {each.text}; change it, or remove it for the default"
    if field.annotation in (str, str | None):
        return f"{variable} must be text in UTF-8; change it, or remove it for the default"
    return f"{variable} must be {_VALID_CREDENTIAL}"


def _web_address(text: str) -> str:
    parts = urlsplit(text)  # raises ValueError for a malformed port or IPv6 host
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise ValueError("not a web address")
    return text.rstrip("/")


def _slack_address(text: str) -> str:
    return _web_address(text) + "/"  # slack_sdk joins method names to it


def _credential(value: SecretStr) -> SecretStr:
    """Keys and tokens are sent in HTTP headers and consist of visible ASCII characters.

    Anything else is a copying mistake: blanks, quotation marks, an ellipsis where a page shortened the key, invisible
    characters.
    """
    text = value.get_secret_value()
    if not re.fullmatch(r"[!-~]+", text) or re.search(r"[\"'`<>]|\.\.\.|\\(?:[nrt]|$)", text):
        raise ValueError("not a credential")
    return value


def _secret_address(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if urlsplit(value.get_secret_value()).scheme.partition("+")[0] not in schemes:
            raise ValueError(f"not one of {schemes}")
        return value

    return AfterValidator(check)


def _split_list(value: object) -> object:
    """Splits at commas and spaces: `"a/*, b"` becomes `("a/*", "b")`."""
    if not isinstance(value, str):
        return value
    names = tuple(re.findall(r"[^\s,]+", value))
    if not names:  # neither unset nor a list
        raise ValueError("no names")
    return names


def _not_quoted(names: tuple[str, ...]) -> tuple[str, ...]:
    """Lists in another notation, such as JSON, would match nothing."""
    if any(re.search("[\"'`;]", name) for name in names):
        raise ValueError("not names separated by commas or spaces")
    return names


def _ids(kinds: str) -> AfterValidator:
    """Ids that begin with one of these letters, or globs that may match some, optionally preceded by the workspace's.
    Names of people and channels would match nothing, because Slack's events contain only ids.
    """
    form = re.compile(rf"(?:[TE*?\[][^/]*/)?[{kinds}*?\[][\w*?\[\]!-]*", re.IGNORECASE)

    def check(patterns: tuple[str, ...]) -> tuple[str, ...]:
        if not all(form.fullmatch(pattern) for pattern in patterns):
            raise ValueError("not ids")
        return patterns

    return AfterValidator(check)


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Credential = Annotated[SecretStr, AfterValidator(_credential)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SlackAddress = Annotated[str, AfterValidator(_slack_address)]
DatabaseAddress = Annotated[SecretStr, _secret_address("sqlite", "postgresql", "postgres")]
RedisAddress = Annotated[SecretStr, _secret_address("redis", "rediss", "unix")]
NAMED_MODELS = (
    "what is offered if the provider's server has no list of models (`/models`): names, separated by commas or spaces; "
    "unset: `BOBBIN_DEFAULT_MODEL`"
)
"""What each `…_MODELS` means."""
Names = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_list),
    AfterValidator(_not_quoted),
    Valid("names separated by commas or spaces, without quotation marks"),
]
Globs = Names
UserIds = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_list),
    AfterValidator(_not_quoted),
    _ids("UW"),
    Valid(
        "ids of people (U…, in Slack under Copy member ID) or globs of ids, separated by commas or spaces"
    ),
]
ChannelIds = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_list),
    AfterValidator(_not_quoted),
    _ids("CDG"),
    Valid(
        "ids of channels (C…, in Slack at the end of a channel's details) or globs of ids such as D*, separated by "
        "commas or spaces"
    ),
]


def own_default_model(
    model: str | None, providers: Sequence[str]
) -> Callable[[str], tuple[str, ...]]:
    """The part of BOBBIN_DEFAULT_MODEL that applies to each of these providers: `provider:name`, or just a name."""
    owner, colon, name = (model or "").partition(":")

    def of(provider: str) -> tuple[str, ...]:
        if colon and owner in providers:
            return (name,) if owner == provider else ()
        return (model,) if model else ()

    return of


def reveal(secret: SecretStr | None) -> str:
    """The secret's text; empty when it is not set."""
    return secret.get_secret_value() if secret else ""


def _days(value: object) -> object:
    """Parses `365d` as a timedelta."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([1-9]\d{0,4})\s*d(?:ays?)?", value.strip().lower())
    if found is None:
        raise ValueError("not a number of days")
    return timedelta(days=int(found[1]))


Days = Annotated[timedelta, BeforeValidator(_days)]

"""Model servers named in BOBBIN_PROVIDERS: each has variables that begin with its own name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.config.values import Credential, Names, Valid, WebAddress, describe_problem, reveal
from bot.errors import SettingsError
from bot.providers.base import ProviderKind, ProviderSettings
from bot.providers.dialects import kind_of

_NAME = re.compile(r"[a-z][a-z0-9]*")
_BUILT_IN = frozenset({*get_args(ProviderKind), "demo"})
SUFFIXES = ("BASE_URL", "API_KEY", "LABEL", "MODELS")
"""The suffixes of the variables' names; they follow the provider's name in capitals."""


class _Variables(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    base_url: Annotated[WebAddress, Valid("a web address such as https://models.example/v1")]
    api_key: Credential | None = None
    label: str | None = None
    models: Names = ()


def variables_of(name: str) -> tuple[str, ...]:
    """The environment variables of a provider."""
    return tuple(f"{name.upper()}_{suffix}" for suffix in SUFFIXES)


def read_further_providers(
    names: Sequence[str], values: Mapping[str, str]
) -> tuple[ProviderSettings, ...]:
    """The providers with these names. `values`: by variable, in capitals.

    Raises SettingsError with a line for each problem, which shows no value.
    """
    problems = list(_name_problems(names))
    if problems:
        raise SettingsError("; ".join(problems))
    read = [_read(name, values) for name in names]
    problems = [one for one in read if isinstance(one, str)]
    if problems:
        raise SettingsError("; ".join(problems))
    return tuple(one for one in read if isinstance(one, ProviderSettings))


def _name_problems(names: Sequence[str]) -> Iterator[str]:
    if not all(_NAME.fullmatch(name) for name in names):
        yield (
            "BOBBIN_PROVIDERS must be names of lower-case letters and digits that begin with a letter, separated by "
            "commas or spaces; change it, or remove it for the default"
        )
        return
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"BOBBIN_PROVIDERS names {name} twice: remove one"
    for name in sorted(_BUILT_IN.intersection(names)):
        yield f"BOBBIN_PROVIDERS names {name}, which is built in: choose another name"


def _read(name: str, values: Mapping[str, str]) -> ProviderSettings | str:
    """The provider, or the problems of its variables."""
    given = {
        suffix.lower(): value
        for suffix, variable in zip(SUFFIXES, variables_of(name), strict=True)
        if (value := values.get(variable, "").strip())
    }
    variable = f"{name.upper()}_BASE_URL"
    if "base_url" not in given:
        return f"{variable} is missing: set it to the server's address, or remove {name} from BOBBIN_PROVIDERS"
    try:
        found = _Variables.model_validate(given)
    except ValidationError as error:
        wrong = dict.fromkeys(str(problem["loc"][0]) for problem in error.errors())
        return "; ".join(
            describe_problem(f"{name.upper()}_{field.upper()}", _Variables.model_fields[field])
            for field in wrong
        )
    return ProviderSettings(
        name,
        found.label or name.capitalize(),
        found.base_url,
        reveal(found.api_key) or None,
        models=found.models,
        kind=kind_of(found.base_url),
    )

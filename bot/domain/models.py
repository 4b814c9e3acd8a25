"""Models, as their providers list them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Identifies a model. Written as `provider:name`."""

    provider: str
    """The provider's short name, such as `openrouter`."""
    name: str
    """The provider's own id for the model."""

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """The inverse of `str()`. Raises ValueError for a text without `provider:`."""
        provider, colon, name = text.partition(":")
        if not (provider and colon and name):
            raise ValueError(f"not a model reference: {text!r}")
        return cls(provider, name)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs according to its provider's list of models, in US dollars per token."""

    prompt: float
    completion: float
    cached: float | None = None
    """For cached tokens of the prompt; None: the same as `prompt`."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One entry of a provider's list of models."""

    ref: ModelRef
    label: str
    provider_label: str
    context: int | None = None
    """Size of the context window in tokens, if the provider states it."""
    vision: bool = False
    """Whether the model accepts images."""
    draws: bool = False
    """Whether it makes pictures."""
    writes: bool = True
    """Whether it writes text; a model that does not only makes pictures."""
    takes_pdfs: bool = False
    """Whether its provider reads PDFs itself, including scanned ones."""
    searches: bool = False
    """Whether its provider can search the web."""
    takes_effort: bool = False
    """Whether its reasoning effort can be chosen."""
    price: Price | None = None
    """None if the list names none."""

"""Which model a person may use, and which one is preselected."""

from __future__ import annotations

import hashlib
from itertools import islice

from bot.domain import ModelInfo, ModelRef, User
from bot.errors import ModelNotAllowed
from bot.providers.catalogue import Catalogue, ModelGroup
from storage.people import People, Profile

MAX_KEY_LENGTH = 75
"""Characters that Slack lets a menu's value have."""


class ModelChoice:
    """The menu's side of the catalogue."""

    def __init__(self, catalogue: Catalogue, people: People, default: str | None) -> None:
        self._catalogue, self._people, self._default = catalogue, people, default

    def search(self, query: str = "") -> tuple[ModelGroup, ...]:
        """What the menu shows for what was typed; answered from memory."""
        return self._catalogue.search(query)

    async def preselected(self, user: User) -> ModelInfo | None:
        """The person's own model, else the operator's, else the provider's, else the first; None: nothing offered."""
        return self.preselected_for(await self._people.get(user))

    def preselected_for(self, profile: Profile) -> ModelInfo | None:
        return self._catalogue.default_for(
            [profile.default_model, profile.last_model, self._default]
        )

    def always_model(self, profile: Profile) -> ModelInfo | None:
        """The model of a person who wants no menu, if it is offered."""
        if not profile.always or profile.default_model is None:
            return None
        return self._catalogue.find(profile.default_model)

    def by_key(self, key: str) -> ModelInfo:
        """The model behind a menu's value. Raises ModelNotAllowed."""
        for info in self._catalogue.models():
            if menu_key(info.ref) == key:
                return info
        raise ModelNotAllowed(key)

    def label(self, ref: ModelRef) -> str:
        """What people call it, offered or not."""
        info = self._catalogue.find(ref)
        return info.label if info else ref.name

    def info(self, ref: ModelRef) -> ModelInfo | None:
        return self._catalogue.find(ref)

    def by_name(self, text: str) -> ModelInfo:
        """The model that a program asks for by name. Raises ModelNotAllowed."""
        info = self._catalogue.find_by_name(text)
        if info is None:
            raise ModelNotAllowed(text)
        return info

    def configured(self, name: str | None) -> ModelRef | None:
        """The model that a setting names; None when it names none. Raises ModelNotAllowed."""
        return self.by_name(name).ref if name else None

    def default(self) -> ModelInfo:
        """For those who choose nothing. Raises ModelNotAllowed when no model is offered."""
        info = self._catalogue.default_for([self._default])
        if info is None:
            raise ModelNotAllowed("no model is offered at the moment")
        return info

    def can_see(self, ref: ModelRef) -> bool:
        """Whether images may be sent to it; where nobody can tell at the moment, they may."""
        info = self._catalogue.find(ref)
        return info is None or info.vision

    def vision_models(self, most: int = 3) -> list[str]:
        """Names of models that can see, the first ones of the menu."""
        found = (info.label for info in self._catalogue.models() if info.vision)
        return list(islice(found, most))

    def mark_gone(self, ref: ModelRef) -> None:
        self._catalogue.mark_gone(ref)


def menu_key(ref: ModelRef) -> str:
    """A value for a menu that fits whatever the model's name: the reference itself, or its digest."""
    text = str(ref)
    return (
        text
        if len(text) <= MAX_KEY_LENGTH
        else "#" + hashlib.blake2s(text.encode(), digest_size=16).hexdigest()
    )

"""Which models a user may choose, and which one is preselected."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from bot.domain import AnswerResult, Chat, ModelInfo, ModelRef, User
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.errors import ModelNotAllowed, NoModelOffered, ProviderError
from bot.providers.catalogue import Catalogue, ModelGroup
from storage.people import People, Profile

MAX_KEY_LENGTH = 75
"""Characters that Slack allows in the value of a menu's option."""


SearchMode = Literal["off", "ask", "always"]


@dataclass(frozen=True, slots=True)
class OfferedOptions:
    """Options that can be chosen because at least one offered model supports them."""

    web_search: bool = False
    effort: bool = False


@dataclass(frozen=True, slots=True)
class Preselection:
    """The initial selection of a menu."""

    model: ModelInfo | None = None
    """None if no model is offered."""
    options: ModelOptions = NO_OPTIONS


NOTHING_OFFERED = OfferedOptions()
NOTHING_PRESELECTED = Preselection()


class ModelChoice:
    """The catalogue from the point of view of people and programs that choose a model."""

    def __init__(
        self,
        catalogue: Catalogue,
        people: People,
        default: str | None,
        shows_pictures: Callable[[str], bool],
        web_search: SearchMode = "off",
        transcribes: bool = False,
    ) -> None:
        """`default`: the operator's default model, as `provider:name` or just its name.

        `shows_pictures`: whether pictures can be shown in a workspace; if not, models that only make pictures are not
        offered there. `web_search`: whether providers that can search the web do so never, if a user wants it, or
        always. `transcribes`: whether voice clips are transcribed.
        """
        self.transcribes = transcribes
        self._web_search = web_search
        self._catalogue = catalogue
        self._people = people
        self._default = default
        self._shows_pictures = shows_pictures

    def search(
        self, team: str, query: str = "", larger_than: int | None = None
    ) -> tuple[ModelGroup, ...]:
        """The models that the menu shows in a workspace for the typed text. Answered from memory.

        `larger_than`: tokens that the context window must exceed.
        """
        drawing = self._shows_pictures(team)
        return self._catalogue.search(query, larger_than=larger_than, drawing=drawing)

    def offered(self, team: str) -> tuple[ModelInfo, ...]:
        """Every model that can be chosen in a workspace, by provider."""
        groups = self._catalogue.search(limit=sys.maxsize, drawing=self._shows_pictures(team))
        return tuple(info for group in groups for info in group.models)

    async def preselected(self, user: User, of_channel: ModelRef | None = None) -> Preselection:
        """The user's own model with its options, else the channel's model, the user's last model, the operator's, the
        provider's, or the first one.
        """
        profile = await self._people.get(user)
        model = self.preselected_for(profile, of_channel)
        return Preselection(model, own_options(profile, model))

    def preselected_for(
        self, profile: Profile, of_channel: ModelRef | None = None
    ) -> ModelInfo | None:
        return self._catalogue.default_for(
            [profile.default_model, of_channel, profile.last_model, self._default],
            drawing=self._shows_pictures(profile.user.team),
        )

    def always_model(self, profile: Profile) -> ModelInfo | None:
        """The model of a user who skips the menu, if it is offered."""
        if not profile.always or profile.default_model is None:
            return None
        info = self._catalogue.find(profile.default_model)
        shown = info is not None and (info.writes or self._shows_pictures(profile.user.team))
        return info if shown else None

    def by_key(self, key: str) -> ModelInfo:
        """The model of a menu's option value. Raises ModelNotAllowed."""
        for info in self._catalogue.models():
            if menu_key(info.ref) == key:
                return info
        raise ModelNotAllowed(key)

    def label(self, ref: ModelRef) -> str:
        """The model's name as people see it, even if it is not offered."""
        info = self._catalogue.find(ref)
        return info.label if info else ref.name

    def info(self, ref: ModelRef) -> ModelInfo | None:
        return self._catalogue.find(ref)

    def by_name(self, text: str) -> ModelInfo:
        """The model that an API client names. Raises ModelNotAllowed."""
        info = self._catalogue.find_by_name(text)
        if info is None:
            raise ModelNotAllowed(text)
        return info

    def configured(self, name: str | None) -> ModelRef | None:
        """The model named by a setting; None if it names none. Raises ModelNotAllowed."""
        return self.by_name(name).ref if name else None

    def default(self) -> ModelInfo:
        """The model used when none is chosen. Raises NoModelOffered."""
        info = self._catalogue.default_for([self._default])
        if info is None:
            raise NoModelOffered
        return info

    def offered_options(self) -> OfferedOptions:
        """The options that users can choose with a model."""
        models = self._catalogue.models()
        return OfferedOptions(
            web_search=self._web_search == "ask" and any(info.searches for info in models),
            effort=any(info.takes_effort for info in models),
        )

    def options_of(self, info: ModelInfo | None) -> OfferedOptions:
        """The options that users can choose with this model."""
        if info is None:
            return NOTHING_OFFERED
        return OfferedOptions(self._web_search == "ask" and info.searches, info.takes_effort)

    def options_for(self, wanted: ModelOptions, ref: ModelRef) -> ModelOptions:
        """The options that a new chat with this model gets, of those that are wanted."""
        info = self.info(ref)
        if info is None:
            return NO_OPTIONS
        searches = wanted.web_search or self._web_search == "always"
        return ModelOptions(
            web_search=self._web_search != "off" and info.searches and searches,
            effort=wanted.effort if info.takes_effort else None,
        )

    def options_in(self, chat: Chat) -> ModelOptions:
        """How the chat's model is asked now; its capabilities or the operator's settings may have changed."""
        info = self.info(chat.model)
        always = self._web_search == "always"
        return ModelOptions(
            web_search=self._web_search != "off" and (chat.options.web_search or always),
            effort=chat.options.effort if info is None or info.takes_effort else None,
        )

    def window(self, ref: ModelRef) -> int | None:
        """The size of the model's context window in tokens, if its provider states it."""
        info = self._catalogue.find(ref)
        return info.context if info else None

    def can_see(self, ref: ModelRef) -> bool:
        """Whether the model accepts images; True for a model that is not in a list at the moment."""
        info = self._catalogue.find(ref)
        return info is None or info.vision

    def takes_pdfs(self, ref: ModelRef) -> bool:
        """Whether the model's provider reads PDFs itself."""
        info = self._catalogue.find(ref)
        return info is not None and info.takes_pdfs

    def writes(self, ref: ModelRef) -> bool:
        """Whether the model writes text; True for a model that is not in a list at the moment."""
        info = self._catalogue.find(ref)
        return info is None or info.writes

    def vision_models(self, limit: int = 3) -> list[str]:
        """Labels of the first models in the menu that accept images."""
        labels = (info.label for info in self._catalogue.models() if info.vision)
        return list(islice(labels, limit))

    def on_answer_ended(self, chat: Chat, result: AnswerResult) -> None:
        """Removes a model from the menus if it turned out not to exist any more."""
        if ProviderError.class_of(result.error).hides_model:
            self._catalogue.mark_gone(chat.model)


def own_options(profile: Profile, model: ModelInfo | None) -> ModelOptions:
    """The options of the user's own model; none for any other model."""
    is_own = model is not None and model.ref == profile.default_model
    return profile.options if is_own else NO_OPTIONS


def menu_key(ref: ModelRef) -> str:
    """The value of the model's option in a menu: the reference itself, or its digest if it is too long for Slack."""
    text = str(ref)
    if len(text) <= MAX_KEY_LENGTH:
        return text
    return "#" + hashlib.blake2s(text.encode(), digest_size=16).hexdigest()

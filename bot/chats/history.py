"""What is sent to a model: the fixed instruction, then the chat so far in order. Pure but for the names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot import words
from bot.domain import Answer, Chat, Message, Person, Role
from bot.providers.base import Request, Turn
from storage.chats import Chats

Names = Callable[[Person], Awaitable[str | None]]
"""What a person is called, or None where that cannot be found out."""


class Briefings:
    """Makes the request for an answer from what is stored."""

    def __init__(self, chats: Chats, system: str, names: Names) -> None:
        self._chats, self._system, self._names = chats, system, names

    async def __call__(self, chat: Chat, answer: Answer) -> Request:
        history = await self._chats.history(chat.id, answer.number)
        authors = {m.author: m.author_name for m in history if m.author is not None}
        names: dict[str, str] = {}
        if len(authors) > 1 or chat.context:
            for user, name in authors.items():
                names[user] = name or await self._names(Person(chat.team, user)) or words.UNKNOWN_PERSON
        return Request(model=chat.model, system=self._system, turns=turns(history, names, chat.context))


def turns(history: Sequence[Message], names: dict[str, str], context: str | None = None) -> list[Turn]:
    """The chat as the model reads it. With `names`, each person's message begins with who said it.

    `context`, what people had said before the chat began, goes with the first message.
    """
    made: list[Turn] = []
    for message in history:
        text = message.text
        if message.role is Role.USER and message.author in names:
            text = f"{names[message.author]}: {text}"
        if message.role is Role.USER and context:
            text, context = words.THREAD_CONTEXT.format(context=context, text=text), None
        made.append(Turn(message.role, text, message.images))
    return made

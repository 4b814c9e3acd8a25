"""What is stored, and what people and API clients may do with it: the repositories and the use cases over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.chats.api_service import ApiService
from bot.chats.api_tokens import ApiTokens
from bot.chats.attachments.sent_files import SentFiles
from bot.chats.branches import BranchService
from bot.chats.chat_request_lifecycle import RequestLifecycle
from bot.chats.chat_request_service import ChatRequestService
from bot.chats.continuations import ContinueService
from bot.chats.feed import Feed
from bot.chats.models import ModelChoice
from bot.chats.service import ChatService
from bot.chats.successors import SuccessorService
from bot.chats.usage import UsageService, nobody
from bot.config.settings import Settings
from bot.resources import Resources
from bot.usage.limits import Limits
from storage.action_claims import ActionClaims
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.chores import Chores
from storage.engine.database import Database
from storage.ledger import Ledger
from storage.people import People
from storage.stop_buttons import StopButtons
from storage.successors import Successors
from storage.summaries import Summaries
from storage.tokens import Tokens


@dataclass(frozen=True)
class Repositories:
    """Access to what is stored in the database."""

    chats: Chats
    answers: Answers
    chores: Chores
    requests: ChatRequests
    people: People
    tokens: Tokens
    claims: ActionClaims
    summaries: Summaries
    successors: Successors
    stop_buttons: StopButtons
    ledger: Ledger


@dataclass(frozen=True)
class UseCases:
    """What people and API clients may do with chats."""

    service: ChatService
    requests: ChatRequestService
    lifecycle: RequestLifecycle
    api: ApiService
    api_tokens: ApiTokens
    continuations: ContinueService
    branches: BranchService
    successors: SuccessorService
    feed: Feed
    usage: UsageService


def open_repositories(database: Database, limits: Limits) -> Repositories:
    """`limits`: what people may use."""
    return Repositories(
        chats=Chats(database, limits=limits),
        answers=Answers(database, limits),
        chores=Chores(database),
        requests=ChatRequests(database),
        people=People(database),
        tokens=Tokens(database),
        claims=ActionClaims(database),
        summaries=Summaries(database),
        successors=Successors(database, limits),
        stop_buttons=StopButtons(database),
        ledger=Ledger(database, limits),
    )


def build_use_cases(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    models: ModelChoice,
    continuations: ContinueService,
    wake: Callable[[str], None],
) -> UseCases:
    lifecycle = RequestLifecycle(repositories.requests)
    requests = ChatRequestService(
        requests=repositories.requests,
        lifecycle=lifecycle,
        chats=repositories.chats,
        people=repositories.people,
        models=models,
        publisher=resources.publisher,
        ledger=repositories.ledger,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    service = ChatService(
        chats=repositories.chats,
        answers=repositories.answers,
        chat_requests=repositories.requests,
        requests=requests,
        people=repositories.people,
        models=models,
        publisher=resources.publisher,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    branches = BranchService(
        chats=repositories.chats,
        answers=repositories.answers,
        successors=repositories.successors,
        models=models,
        wake=wake,
    )
    api = ApiService(
        chats=repositories.chats,
        answers=repositories.answers,
        models=models,
        people=repositories.people,
        continuations=continuations,
        branches=branches,
        files=SentFiles(resources.documents),
        publisher=resources.publisher,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    feed = Feed(
        coordination=resources.coordination,
        chats=repositories.chats,
        answers=repositories.answers,
    )
    return UseCases(
        service=service,
        requests=requests,
        lifecycle=lifecycle,
        api=api,
        api_tokens=ApiTokens(repositories.tokens, resources.publisher),
        continuations=continuations,
        branches=branches,
        successors=SuccessorService(
            chats=repositories.chats,
            successors=repositories.successors,
            continuations=continuations,
            branches=branches,
        ),
        feed=feed,
        usage=UsageService(repositories.ledger, nobody),
    )

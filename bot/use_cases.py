"""The repositories, and the use cases that people and API clients have on top of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.access.chat_access import ChatAccess
from bot.access.membership import Membership
from bot.chats.announcing import Announce, announcer
from bot.chats.api_service import ApiService
from bot.chats.api_tokens import ApiTokens
from bot.chats.approvals import ApprovalService
from bot.chats.attachments.sent_files import SentFiles
from bot.chats.attachments.voice_clips import VoiceClips
from bot.chats.branches import BranchService
from bot.chats.channels import ChannelService
from bot.chats.chat_request_lifecycle import RequestLifecycle
from bot.chats.chat_request_service import ChatRequestService
from bot.chats.continuations import ContinueService
from bot.chats.export import Exporter
from bot.chats.feed import Feed
from bot.chats.models import ModelChoice
from bot.chats.service import ChatService
from bot.chats.successors import SuccessorService
from bot.chats.usage import UsageService
from bot.config.settings import Settings
from bot.resources import Resources
from bot.timing import Timing
from bot.usage.limits import Limits
from handlers.client.channels import SlackChannels
from storage.action_claims import ActionClaims
from storage.answers import Answers
from storage.call_history import CallHistory
from storage.channel_settings import ChannelSettingsStore
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.chores import Chores
from storage.engine.database import Database
from storage.erasure import Erasure
from storage.ledger import Ledger
from storage.people import People
from storage.personal_data import PersonalData
from storage.pictures import Pictures
from storage.served_teams import Serves
from storage.stop_buttons import StopButtons
from storage.successors import Successors
from storage.summaries import Summaries
from storage.tool_calls import ToolCalls
from storage.transcripts import Transcripts


@dataclass(frozen=True)
class Repositories:
    """Access to the data stored in the database."""

    chats: Chats
    answers: Answers
    chores: Chores
    requests: ChatRequests
    people: People
    claims: ActionClaims
    summaries: Summaries
    successors: Successors
    channel_settings: ChannelSettingsStore
    stop_buttons: StopButtons
    ledger: Ledger
    transcripts: Transcripts
    pictures: Pictures
    erasure: Erasure
    tool_calls: ToolCalls
    call_history: CallHistory


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
    membership: Membership
    channels: ChannelService
    exporter: Exporter
    feed: Feed
    usage: UsageService
    approvals: ApprovalService


@dataclass(frozen=True)
class AnswerStarters:
    """How the use cases start the writing of answers."""

    wake: Callable[[str], None]
    """Called with the id of a chat in which an answer waits."""
    start_chores: Callable[[str], object]
    """Called with the id of an answer whose chores are due."""


def open_repositories(
    database: Database,
    limits: Limits,
    serves: Serves,
    channels: Sequence[str] = (),
    timing: Timing = Timing(),
) -> Repositories:
    """`limits`: what people may use. `serves`: the workspaces that this process works for.

    `channels`: patterns of the channels whose chats are listed; empty: all.
    """
    return Repositories(
        chats=Chats(database, limits=limits, channels=channels),
        answers=Answers(database, limits, serves),
        chores=Chores(database, serves),
        requests=ChatRequests(database, serves),
        people=People(database),
        claims=ActionClaims(database),
        summaries=Summaries(database),
        successors=Successors(database, limits, serves),
        channel_settings=ChannelSettingsStore(database),
        stop_buttons=StopButtons(database),
        ledger=Ledger(database, limits),
        transcripts=Transcripts(database),
        pictures=Pictures(database),
        erasure=Erasure(database),
        call_history=CallHistory(database),
        tool_calls=ToolCalls(database, limits, timing.approval_life),
    )


def build_use_cases(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    models: ModelChoice,
    voice_clips: VoiceClips,
    continuations: ContinueService,
    starters: AnswerStarters,
) -> UseCases:
    lifecycle = RequestLifecycle(repositories.requests)
    channels = ChannelService(
        repositories.channel_settings,
        models,
        resources.tools,
        has_tools=bool(settings.tools.servers),
    )
    announce = announcer(resources.publisher, starters.wake)
    requests = _chat_requests(settings, repositories, models, lifecycle, channels, announce)
    branches = BranchService(
        chats=repositories.chats,
        answers=repositories.answers,
        successors=repositories.successors,
        models=models,
        announce=announce,
    )
    membership = _membership(resources, repositories)
    exporter = Exporter(
        repositories.transcripts,
        repositories.people,
        PersonalData(resources.database),
        models.label,
    )
    approvals = ApprovalService(
        repositories.tool_calls, resources.publisher, starters.wake, starters.start_chores
    )
    return UseCases(
        service=_service(settings, resources, repositories, models, requests, announce, starters),
        approvals=approvals,
        requests=requests,
        lifecycle=lifecycle,
        api=ApiService(
            chats=repositories.chats,
            answers=repositories.answers,
            models=models,
            people=repositories.people,
            continuations=continuations,
            branches=branches,
            files=SentFiles(resources.documents, voice_clips),
            access=ChatAccess(repositories.chats, resources.gate.rules, membership),
            announce=announce,
            fitter=resources.image_fitter,
            exporter=exporter,
            pictures=repositories.pictures,
            approvals=approvals,
            claims=repositories.claims,
            wake=starters.wake,
            limit=settings.bobbin_max_messages,
        ),
        api_tokens=resources.api_tokens,
        continuations=continuations,
        branches=branches,
        successors=SuccessorService(
            chats=repositories.chats,
            successors=repositories.successors,
            continuations=continuations,
            branches=branches,
        ),
        membership=membership,
        channels=channels,
        exporter=exporter,
        feed=Feed(
            coordination=resources.coordination,
            chats=repositories.chats,
            answers=repositories.answers,
            on_heard=membership.heard,
        ),
        usage=UsageService(repositories.ledger, resources.gate.is_admin),
    )


def _chat_requests(
    settings: Settings,
    repositories: Repositories,
    models: ModelChoice,
    lifecycle: RequestLifecycle,
    channels: ChannelService,
    announce: Announce,
) -> ChatRequestService:
    return ChatRequestService(
        requests=repositories.requests,
        lifecycle=lifecycle,
        chats=repositories.chats,
        people=repositories.people,
        channels=channels,
        models=models,
        announce=announce,
        ledger=repositories.ledger,
        limit=settings.bobbin_max_messages,
    )


def _service(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    models: ModelChoice,
    requests: ChatRequestService,
    announce: Announce,
    starters: AnswerStarters,
) -> ChatService:
    return ChatService(
        chats=repositories.chats,
        answers=repositories.answers,
        chat_requests=repositories.requests,
        requests=requests,
        people=repositories.people,
        models=models,
        publisher=resources.publisher,
        announce=announce,
        wake=starters.wake,
        limit=settings.bobbin_max_messages,
    )


def _membership(resources: Resources, repositories: Repositories) -> Membership:
    return Membership(
        repositories.chats,
        SlackChannels(resources.workspaces),
        resources.publisher,
        resources.tasks,
        resources.timing,
    )

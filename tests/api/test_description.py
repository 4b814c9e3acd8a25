"""The OpenAPI document and docs/api.md agree with what the API does."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.domain import User
from storage.api_tokens import Tokens
from tests.api.conftest import Api, address
from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.world import World
from tests.local_http import local_client
from tests.slow import slow_after

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
PROMISED = {
    "POST /chat/conversations": 201,
    "GET /chat/conversations": 200,
    "GET /chat/conversations/{conversation_id}": 200,
    "POST /chat/conversations/{conversation_id}/messages": 201,
    "POST /chat/conversations/{conversation_id}/messages/{message_id}/retry": 200,
    "POST /chat/conversations/{conversation_id}/approvals/{approval_id}": 200,
    "GET /chat/conversations/{conversation_id}/messages/{message_id}/images/{position}": 200,
    "GET /chat/conversations/{conversation_id}/export": 200,
    "GET /chat/models": 200,
    "GET /usage": 200,
    "POST /api/v1/conversations": 201,
    "POST /api/v1/chat": 200,
    "POST /new-chat": 200,
    "POST /chat-message": 200,
    "POST /list-chats": 200,
    "POST /check-chat": 200,
    "POST /list-messages": 200,
}
"""Every route, and its response if all is well."""
FIELDS = {
    "Conversation": {
        "id",
        "title",
        "model",
        "createdAt",
        "updatedAt",
        "messageCount",
        "lastMessageId",
        "search",
        "reasoning",
    },
    "OneMessage": {"id", "role", "content", "status", "createdAt", "sources", "images"},
    "Answered": {"userMessage", "assistantMessage", "rateLimitReached", "conversationTitle"},
    "Conversations": {"conversations", "nextCursor"},
    "History": {"conversation", "messages"},
    "V1Conversation": {"conversation_id", "title"},
    "Problem": {"success", "error", "message"},
    "TooMany": {"success", "error", "message", "rateLimitReached", "budgetReached", "content"},
    "Stored": {"chat", "user_message", "assistant_message"},
}

SCHEMAS = [
    "Answered",
    "ApprovalOut",
    "ArtifactIn",
    "BranchedConversation",
    "ChatId",
    "ChatList",
    "ChatMessage",
    "ChatShape",
    "ContinuedConversation",
    "Conversation",
    "Conversations",
    "CreatedConversation",
    "DecidedApproval",
    "Decision",
    "DecisionIn",
    "Effort",
    "ExportFormat",
    "ExportedCall",
    "ExportedChat",
    "ExportedConversation",
    "ExportedFile",
    "ExportedImage",
    "ExportedMessage",
    "FileIn",
    "GroupBy",
    "History",
    "ImageIn",
    "ListChats",
    "MessageList",
    "MessageShape",
    "Model",
    "Models",
    "NewChat",
    "NewConversation",
    "NewMessageIn",
    "Newest",
    "OfChat",
    "OneMessage",
    "PictureLink",
    "Problem",
    "SourceLink",
    "StepOut",
    "Stored",
    "TooMany",
    "Unanswered",
    "UsageFigures",
    "UsageOut",
    "UsageReport",
    "V1Answered",
    "V1Conversation",
    "V1Message",
    "V1Unanswered",
    "WrittenAnswer",
]
"""Names of schemas, from which clients generate code: they never change, whatever the classes are called."""


async def openapi(world: World) -> dict[str, Any]:
    async with local_client(base_url=address(world)) as http:
        assert "/openapi.json" in (await http.get("/docs")).text
        described: dict[str, Any] = (await http.get("/openapi.json")).json()
        return described


async def test_the_interactive_page_loads_nothing_from_elsewhere(world: World) -> None:
    """Neither its scripts and styles nor its icon, also below a proxy's path."""
    async with local_client(base_url=address(world)) as http:
        page = (await http.get("/docs")).text
        assert "//" not in re.sub(r"<!--.*?-->|//#.*", "", page, flags=re.DOTALL)
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert [each for each in loaded if each.startswith("/")] == []
        files = [each for each in loaded if not each.startswith("data:")]
        assert len(files) == 2
        for each in files:
            assert (await http.get(f"/{each}")).status_code == 200


async def test_openapi_describes_exactly_the_promised_routes_codes_and_fields(
    world: World,
) -> None:
    described = await openapi(world)
    routes = {
        f"{method.upper()} {path}": operation
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    }
    assert {
        route: int(min(operation["responses"])) for route, operation in routes.items()
    } == PROMISED
    for route, operation in routes.items():
        assert {"401", "403", "422", "429", "503"} <= operation["responses"].keys(), route
        assert operation["security"] == [{"HTTPBearer": []}]
        described_by = " ".join(operation["description"].split())
        assert " " in operation["summary"], route  # words, not a function's name
        assert described_by.startswith(operation["summary"]), route
    talking = [
        operation
        for route, operation in routes.items()
        if route.endswith(("/messages", "/retry", "/chat"))
    ]
    assert all(
        {"404", "409", "429", "502"} <= operation["responses"].keys()
        for operation in talking
        if operation
    )
    shapes = described["components"]["schemas"]
    assert sorted(shapes) == SCHEMAS
    assert {name: set(shapes[name]["properties"]) for name in FIELDS} == FIELDS


def test_the_documentation_lists_every_route_and_status_code() -> None:
    rows = re.findall(r"^\| `((?:GET|POST) [^`]+)`.*? \| (\d{3})", PAGE, re.MULTILINE)
    assert {route: int(code) for route, code in rows} == PROMISED


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def run(world: World, api: Api, *command: str) -> str:
    environment = {
        **os.environ,
        "BOBBIN": address(world),
        "TOKEN": api.token,
        "no_proxy": "127.0.0.1",
    }
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=-1, stderr=-2)
    async with asyncio.timeout(WAIT_TIMEOUT):
        shown, _ = await process.communicate()
    assert process.returncode == 0, shown.decode()
    return shown.decode()


@pytest.mark.usefixtures("curl")
async def test_the_examples_of_the_documentation_work(world: World, api: Api) -> None:
    made, said, streamed = [
        await run(world, api, "bash", "-ec", example) for example in examples("bash")
    ]
    assert '"title":"New conversation"' in made
    assert said.count("scripted demo model") == 2
    assert "event: token" in streamed
    assert "event: done" in streamed
    picture, socket = [
        await run(world, api, sys.executable, "-c", example) for example in examples("python")
    ]
    assert "a GIF picture, 1 × 1 pixels" in picture
    assert "You asked: “Hello from a socket.”" in socket


@pytest.mark.parametrize("examples", slow_after(1, [1, 10]))
@pytest.mark.filterwarnings("ignore")  # those of the generator itself
async def test_no_generated_request_breaks_the_api(world: World, api: Api, examples: int) -> None:
    """Generated requests: no server error, no undescribed code, type or shape."""
    # Imported by the one worker that needs it: it takes as long as a third of all the other imports.
    from tests.api.generated_requests import explore

    assert world.bot is not None
    described = await openapi(world)
    chat = await api.conversation()
    tokens, team = Tokens(world.bot.database), world.slack.workspace.team_id
    # One person may make only a limited number of requests a minute.
    people = [User(team, id) for id in ("U0ALICE", "U0BOB", "U0CAROL", "U0DAN")]
    for person in people:
        take_part = (
            "INSERT INTO participants (team, user, chat_id, active_at) "
            "VALUES (?, ?, ?, '2020-01-01 00:00:00')"
        )
        await world.execute(take_part, team, person.id, chat)
    several = [await tokens.issue(people[n % 4]) for n in range(len(PROMISED))]
    codes, failures = await asyncio.to_thread(
        explore, described, address(world), several, chat, examples
    )
    assert failures == []
    assert {200, 201, 404, 422} <= codes

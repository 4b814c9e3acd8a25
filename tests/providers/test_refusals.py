"""What providers say when they refuse, word for word, and what it means: the status alone is often misleading."""

from __future__ import annotations

from typing import Any

import pytest

from bot.errors import (
    Blocked,
    ContentFiltered,
    ContextTooLong,
    DailyLimit,
    DataPolicy,
    KeyRejected,
    ModelBusy,
    ModelGone,
    NoAccess,
    NoCredit,
    OutOfMemory,
    ProviderError,
    ProviderServerError,
    RegionRefused,
    RequestRefused,
    ToolsRefused,
    WrongAddress,
)
from tests.providers.harness import ProviderHarness
from tests.providers.scripted_server import data, delta, responding, streaming


def openai(message: str, code: Any = None, kind: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": kind}}


AZURE_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
AZURE_NO_KEY = "Access denied due to missing subscription key. Make sure to include one when making requests to an API."
GEMINI_QUOTA = "You exceeded your current quota, please check your plan and billing details."


def gemini(quota: str) -> list[dict[str, Any]]:
    violation = {"quotaId": f"GenerateRequests{quota}PerProjectPerModel-FreeTier"}
    details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]
    error = {"code": 429, "message": GEMINI_QUOTA, "status": "RESOURCE_EXHAUSTED"}
    return [{"error": error | {"details": details}}]


def page(title: str) -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>No.</body></html>"


REFUSALS: list[tuple[int, Any, type[ProviderError]]] = [
    # nested too deeply to be read
    (400, "[" * 100_000, RequestRefused),
    (400, '{"error": ' * 500 + "1" + "}" * 500, RequestRefused),
    # the key
    (401, openai("Incorrect API key provided: sk-x.", "invalid_api_key"), KeyRejected),
    (401, {"error": "Authentication failed"}, KeyRejected),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"}, KeyRejected),
    (403, openai("Your API key is invalid"), KeyRejected),
    (400, openai("API key not valid. Please pass a valid API key."), KeyRejected),
    (401, openai(AZURE_KEY, "401"), KeyRejected),
    (401, {"statusCode": 401, "message": AZURE_NO_KEY}, KeyRejected),
    (401, openai("Access denied: the subscription key is expired", 401), KeyRejected),
    # access to this model
    (403, openai("Project `proj_1` does not have access to model `gpt-4o`", "model_not_found"), NoAccess),
    (404, openai("Your organization must be verified to use the model `o3`.", "model_not_found"), NoAccess),
    (401, {"error": "This model is only available to Pro users"}, NoAccess),
    (401, {"error": "Pro-only model"}, NoAccess),
    (403, openai("You don't have access to the model with the specified model ID."), NoAccess),
    (403, {"error": {"type": "permission_error", "message": "Not for this workspace"}}, NoAccess),
    (403, {"error": "this model requires a subscription, upgrade for access"}, NoAccess),
    (403, openai("You are not allowed to sample from this model"), NoAccess),
    (403, openai("Forbidden"), NoAccess),
    # the region
    (403, openai("Country, region, or territory not supported", "unsupported_country_region_territory"), RegionRefused),
    (400, openai("User location is not supported for the API use.", 400), RegionRefused),
    (403, openai("This model is not available in your region."), RegionRefused),
    (451, "", RegionRefused),
    # something in between
    (403, page("Access Denied | Company Proxy"), Blocked),
    (401, page("Sign in"), Blocked),
    (403, page("Just a moment..."), Blocked),
    (407, page("Proxy Authentication Required"), Blocked),
    (511, page("Network Authentication Required"), Blocked),
    (403, "error code: 1020", Blocked),
    (404, page("404 Not Found"), WrongAddress),
    (404, "", WrongAddress),
    (404, {"detail": "Not Found"}, WrongAddress),
    (404, {"error": {"message": "Unknown request URL: POST /chat/completions"}}, WrongAddress),
    (405, {"detail": "Method Not Allowed"}, WrongAddress),
    (502, page("Bad gateway"), ProviderServerError),
    # what the account shares
    (404, openai("No endpoints found matching your data policy (Free model training).", 404), DataPolicy),
    (404, openai("No endpoints available matching your guardrail restrictions and data policy.", 404), DataPolicy),
    (404, openai("No allowed providers are available for the selected model.", 404), DataPolicy),
    # the model
    (404, openai("No endpoints found for foo/bar.", 404), ModelGone),
    (404, {"error": {"message": 'model "llama9" not found, try pulling it first'}}, ModelGone),
    (404, openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"), ModelGone),
    (404, openai("models/gemini-9 is not found for API version v1beta", 404), ModelGone),
    (404, openai("The API deployment for this resource does not exist.", "DeploymentNotFound"), ModelGone),
    (400, openai("The model `x` has been decommissioned and is no longer supported."), ModelGone),
    (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model"}, ModelGone),
    (400, openai("The provided model identifier is invalid."), ModelGone),
    (410, openai("Model x was retired on 1 May."), ModelGone),
    # what may come from something before the server, whatever its words
    (404, "404: model not found", WrongAddress),
    (404, "The model `gpt-9` does not exist", WrongAddress),
    (404, "\ufeff<html><title>Model not found</title>", WrongAddress),
    (410, "Model x was retired on 1 May.", RequestRefused),
    (400, "Unknown model", RequestRefused),
    # what the model cannot do
    (404, openai("No endpoints found that support tool use.", 404), ToolsRefused),
    (404, openai("No endpoints found that support image input", 404), RequestRefused),
    (410, {"code": "Gone", "error": "Live search is deprecated. Use tools."}, RequestRefused),
    # limits that end soon
    (429, openai("Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000"), ModelBusy),
    (429, gemini("PerMinute"), ModelBusy),
    (413, openai("Request too large on tokens per minute (TPM): Limit 6000", "rate_limit_exceeded"), ModelBusy),
    (429, {"error": "Model is overloaded"}, ModelBusy),
    (503, {"error": "Model is loading", "estimated_time": 20}, ModelBusy),
    (503, openai("Loading model", 503, "unavailable_error"), ModelBusy),
    (503, openai("That model is currently overloaded with other requests"), ModelBusy),
    (500, {"error": '{"message": "Rate limit exceeded", "code": 429}'}, ModelBusy),
    # limits that do not
    (429, gemini("PerDay"), DailyLimit),
    (429, openai("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock more", 429), DailyLimit),
    (429, openai("Rate limit reached on tokens per day (TPD): Limit 100000"), DailyLimit),
    (429, openai("Rate limit reached on requests per day (RPD): Limit 200"), DailyLimit),
    (403, openai("Key limit exceeded (daily limit). Manage it in your settings.", 403), DailyLimit),
    # money
    (429, openai(GEMINI_QUOTA, "insufficient_quota"), NoCredit),
    (429, {"code": "exhausted", "error": "Your team has used all available credits"}, NoCredit),
    (403, {"code": "denied", "error": "Your newly created team doesn't have any credits yet"}, NoCredit),
    (403, openai("Key limit exceeded (total limit).", 403), NoCredit),
    (400, openai("Your credit balance is too low to access the API."), NoCredit),
    (402, openai("Insufficient Balance"), NoCredit),
    (402, "", NoCredit),
    (429, {"detail": "You have exceeded your monthly included credits for Inference."}, NoCredit),
    (400, openai("Budget has been exceeded! Current cost: 10", "400", "budget_exceeded"), NoCredit),
    (401, openai("ExceededTokenBudget: Current spend for token: 7", None, "auth_error"), NoCredit),
    # length
    (403, openai("Input validation error: the input token count exceeds the context length"), ContextTooLong),
    (400, openai("the request exceeds the available context size", 400, "exceed_context_size_error"), ContextTooLong),
    (500, openai("the request exceeds the available context size", 500), ContextTooLong),
    (400, [openai("The input token count (9) exceeds the maximum number of tokens (8).")], ContextTooLong),
    (413, "", ContextTooLong),
    # content
    (400, openai("Content Exists Risk"), ContentFiltered),
    (403, openai("Blocked by your guardrail", 403), ContentFiltered),
    (400, openai("The response was filtered", "content_filter"), ContentFiltered),
    # memory
    (500, {"error": "model requires more system memory (9.8 GiB) than is available (6.2 GiB)"}, OutOfMemory),
    (500, openai("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
    (500, {"error": "llama runner process has terminated: cudaMalloc failed: out of memory"}, OutOfMemory),
    # as their servers put it, word for word
    (401, openai("You have insufficient permissions for this operation. Missing scopes: model.request."), NoAccess),
    (403, [openai("Your API key was reported as leaked. Please use another API key.", 403)], KeyRejected),
    (404, openai("All providers have been ignored. To change your default ignored providers, …", 404), DataPolicy),
    (404, openai("This model is only supported in v1/responses and not in v1/chat/completions."), ModelGone),
    (404, openai("This is not a chat model and thus not supported in the v1/chat/completions endpoint."), ModelGone),
    (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}}, ModelGone),
    (400, openai("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"), ContextTooLong),
    (400, openai("You have reached your specified API usage limits. You will regain access on 2026-12-01."), NoCredit),
    (429, [openai("Your prepayment credits are depleted. Please go to AI Studio", 429)], NoCredit),
    (429, {"code": "exhausted", "error": "Your team has used all available credits or reached its monthly spending "
                                         "limit."}, NoCredit),
    (412, openai("Account x is suspended, possibly due to reaching the monthly spending limit"), NoCredit),
    (403, openai("The free tier of the model has been exhausted.", "AllocationQuota.FreeTierOnly"), NoCredit),
    (429, openai("余额不足或无可用资源包,请充值。", "1113"), NoCredit),
    (400, openai("The model `x` requires terms acceptance. Please have the org admin accept the terms"), NoAccess),
    (400, openai("Organization has been restricted.", "organization_restricted"), NoAccess),
    (403, {"message": "This model is not available on your plan"}, NoAccess),
    (498, openai("Flex tier capacity exceeded", None, "capacity"), ModelBusy),
    (503, openai("Service is too busy. We advise users to temporarily switch to alternative providers."), ModelBusy),
    (503, {"error": "The model is at capacity. Please try again later."}, ModelBusy),
    (503, openai("server busy, please try again. maximum pending requests exceeded"), ModelBusy),
    (400, {"code": "invalid", "error": "This model's maximum prompt length is 131072 but the request contains more."},
     ContextTooLong),
    (422, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193."), ContextTooLong),
    (400, openai("The decoder prompt (length 9000) is longer than the maximum model length of 8192."), ContextTooLong),
    (400, openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
     ContextTooLong),
    (400, openai("Invalid request: Your request exceeded model token limit: 8192"), ContextTooLong),
    (422, {"detail": [{"msg": "String should have at most 32768 characters"}]}, ContextTooLong),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
async def test_a_refusal_is_taken_at_its_word(
    harness: ProviderHarness, status: int, body: Any, expected: type[ProviderError]
) -> None:
    error, _ = await harness.failure(responding(body, status))
    assert type(error) is expected
    assert error.detail


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [row for row in REFUSALS if isinstance(row[1], dict) and isinstance(row[1].get("error"), dict)],
)
async def test_a_refusal_in_a_stream_is_taken_at_its_word_too(
    harness: ProviderHarness, status: int, body: dict[str, Any], expected: type[ProviderError]
) -> None:
    said = {"error": body["error"] | {"code": body["error"].get("code") or status}}
    error, text = await harness.failure(streaming(delta("Once "), data(said)))
    assert (type(error), text) == (expected, "Once ")


def test_only_a_model_that_is_reported_as_gone_is_hidden() -> None:
    assert [kind for kind in ProviderError.__subclasses__() if kind.hides_model] == [ModelGone]


REASONS: list[tuple[int, Any, str]] = [
    (400, openai('{\n "error": {"code": 400, "message": "API key not valid."}}', 400), "API key not valid."),
    (500, {"error": '{"message": "Rate limit", "code": 429}'}, "Rate limit"),
    (422, {"detail": [{"loc": ["body"], "msg": "too long"}, {"msg": "no list"}]}, "too long; no list"),
    (400, {"success": False, "errors": [{"code": 7003, "message": "No route"}]}, "No route"),
    (400, {"error": {"error": {"message": "No."}}}, "No."),
]  # fmt: skip


async def test_the_reason_is_the_words_in_an_error_however_it_is_wrapped(
    harness: ProviderHarness,
) -> None:
    for status, body, reason in REASONS:
        error, _ = await harness.failure(responding(body, status))
        assert error.detail == reason


async def test_the_reason_on_a_web_page_is_its_title(harness: ProviderHarness) -> None:
    error, _ = await harness.failure(responding(page("Blocked &amp;\n logged"), 403))
    assert error.detail == "Blocked & logged"

"""The meaning of error messages, as providers and their users spell them. Pure."""

from __future__ import annotations

import re

from bot.errors import (
    ContentFiltered,
    ContextTooLong,
    DailyLimit,
    DataPolicy,
    KeyRejected,
    ModelBusy,
    ModelGone,
    ModelTimeout,
    NoAccess,
    NoCredit,
    OutOfMemory,
    ProviderError,
    RegionRefused,
    RequestRefused,
    SystemRoleRefused,
    ToolsRefused,
    WrongAddress,
)

NO_STATUS = 0
"""In place of a status: the error arrived in a stream with status 200, and has no number of its own."""


def _any_of(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.DOTALL)


def _statuses(*statuses: int) -> frozenset[int]:
    return frozenset({NO_STATUS, *statuses})


# Some statuses mean many things, so the wording of the error decides first. The first match counts. The words are from
# the providers' documentation and their users' reports (docs/why.md, "Errors are classified by their wording").
BY_WORDS: tuple[tuple[type[ProviderError], frozenset[int], re.Pattern[str]], ...] = (
    (
        ToolsRefused,
        _statuses(400, 404, 405, 422, 500, 501),
        _any_of(
            r"(does(n't| not)|do not|not|never|cannot) (support|allow|accept|have).{0,30}\b(tools?|functions?)\b",
            r"(tools?|tool[ _-]?(use|call(ing|s)?|choice)|function[ _-]?call(ing|s)?).{0,30}(not|n't|un)[ -]?"
            r"(supported|available|allowed|enabled|permitted)",
            r"no endpoints found that support.{0,40}tool",
            r"(unrecognized|unknown|unexpected|extra|unsupported|invalid)[^.]{0,40}\W(tools|tool_choice)\b",
            r"\btools?\b.{0,40}(requires?|need).{0,10}--",
            r"tool choice requires",
        ),
    ),
    (
        SystemRoleRefused,
        _statuses(400, 404, 422, 500),
        _any_of(
            r"(system|developer) (role|message|prompt|instruction)s?\b.{0,40}\b(not|n't|un)",
            r"(does(n't| not)|not|never) (support|allow|accept).{0,20}\bsystem\b",
            r"(un(supported|expected|known)|invalid) (message )?role:? .?system",
            r"only .{0,20}user.{0,20}assistant.{0,20} roles|input should be 'user'",
            r"roles must alternate",  # also said about a system message, since all other messages do alternate
        ),
    ),
    (
        OutOfMemory,
        _statuses(400, 500, 502, 503, 507),
        _any_of(
            r"out of memory|outofmemory|\boom\b|more (system |gpu |video )?memory than",
            r"(insufficient|not enough) (system |gpu |video )?(memory|v?ram)|requires more (system )?memory",
            r"insufficient system resources|bad_alloc|(fail\w*|unable) to allocate .{0,40}buffer",
        ),
    ),
    (
        DailyLimit,
        _statuses(402, 403, 429),
        _any_of(
            r"per[ _-]?day|perday|\b[rt]pd\b|\bdaily\b|per 24 ?h|(today|tomorrow|24 hours)",
            r"per[ _-]?(week|month)|\b(weekly|monthly) (?!spend)(\w+ )?(limit|quota|request)",
        ),
    ),
    (
        ModelBusy,
        _statuses(413, 429),
        _any_of(r"per[ _-]?(minute|second|hour)|perminute|\b[rt]pm\b|rate[_ ]?limit[_ ]exceeded"),
    ),
    (
        NoCredit,
        _statuses(400, 401, 403, 412, 429),
        _any_of(
            r"credits? (are|is|have been|has been) (depleted|exhausted|used)|specified api usage limits",
            r"free (tier|quota)\b.{0,40}exhausted|余额不足|欠费",
            r"insufficient[_ ](quota|credit|balance|funds)|(credit|account)[_ ]balance|arrearage",
            r"billing|(no|any|more|enough|available|of|all) (\w+ )?credits?\b|payment required|spending[_ ]limit",
            r"exceeded your (\w+ ){0,3}(credits?|quota|balance)|budget.{0,20}exceeded|exceeded\w{0,10}[ _]?budget",
            r"your current quota|key limit exceeded|balance.{0,20}(too low|not enough|insufficient|exhausted)",
        ),
    ),
    (
        RegionRefused,
        _statuses(400, 401, 403, 404),
        _any_of(
            r"unsupported_country|(country|region|territory|location).{0,60}(not (supported|available)|restricted)",
            r"not (supported|available) in (your|this|the) .{0,20}(country|region|territory|location)",
        ),
    ),
    (
        DataPolicy,
        _statuses(400, 403, 404),
        _any_of(
            r"data[_ ]policy|privacy[_ ]settings?|zero[_ -]data[_ -]retention|\bzdr\b",
            r"no allowed providers|providers have been ignored|data (training|retention) (settings?|polic)",
        ),
    ),
    (
        ContextTooLong,
        _statuses(400, 403, 413, 422, 500),
        _any_of(
            r"context[_ -]?(length|window|size|limit)|maximum context|string_above_max|at most \d+ characters",
            r"maximum (prompt|input|sequence|model) length|range of input length",
            r"exceeded (the )?model token limit",
            r"tokens \+ .?max_new_tokens",
            r"too many (input )?tokens|reduce the length|(prompt|input|request|message)s? (is|are) too (long|large)",
            r"exceeds? the (\w+ )?(maximum|max|available|limit).{0,40}tokens|token (count|limit).{0,40}exceed",
        ),
    ),
    (
        ContentFiltered,
        _statuses(400, 403, 422, 451),
        _any_of(
            r"content[_ ](filter|policy|management)|moderation|flagged|safety|guardrail|responsible ?ai",
            r"content exists risk|data_inspection_failed|inappropriate|(prohibited|sensitive)[_ ]content",
        ),
    ),
    (
        KeyRejected,
        _statuses(400, 401, 403),
        _any_of(
            r"(invalid|incorrect|missing|expired|wrong|no)[_ ](api|subscription|access)[_ ]?(key|token)",
            r"authentication_error|unauthori[sz]ed",
            r"((api|subscription|access)[_ ]?key|token|credentials?) (is |was |are )?(reported as )?"
            r"(leaked|not valid|invalid|expired|missing|revoked|disabled)",
        ),
    ),
    (
        NoAccess,
        _statuses(400, 401, 403, 404),
        _any_of(
            r"(not|n't) (available|included|supported) (on|in|with|for) your (\w+ ){0,2}(plan|tier|subscription)",
            r"terms[_ ](acceptance|required)|accept the (\w+ )?terms",
            r"(organi[sz]ation|account|project|workspace) (has been|is) (restricted|suspended|disabled|blocked)",
            r"must be verified|verify (your )?organi[sz]ation|\bgated\b|permission[_ ]?(denied|error)|accessdenied",
            r"(requires?|upgrade|needs?) (to )?(a |an |your )?(\w+ )?(pro|paid|plus|plan|subscription|tier)\b",
            r"\b(pro|paid|plus)[_ -]?only|only available (to|for|on|in|with) .{0,40}(pro|paid|plus|plan|subscri|tier)",
        ),
    ),
    (ModelGone, _statuses(400, 404), _any_of(r"does not exist or you do not have access")),
    (
        NoAccess,
        _statuses(400, 401, 403),
        _any_of(
            r"(no|not|n't) (\w+ ){0,3}(access|permi|allowed|authori[sz]ed|entitled|enabled)",
            r"access (\w+ ){0,4}denied|model[_ ]access|insufficient permissions?",
        ),
    ),
    (
        RequestRefused,
        _statuses(404, 410),
        _any_of(
            r"support (\w+ )?(image|tool|function|audio|file|vision|video)|image input|tool[_ ](use|choice)",
            r"no endpoints found that can handle the requested parameters",
        ),
    ),
    (
        ModelGone,
        _statuses(400, 403, 404, 410, 422),
        _any_of(
            r"model[_ ](not[_ ](found|available|exist|supported)|decommissioned|deprecated)|deploymentnotfound",
            r"not_found_error model:|only supported in v1/|not (supported )?(in|with) the v1/chat/completions",
            r"(unknown|invalid|unsupported|no such) model|not a valid model|model identifier is invalid",
            r"\b(model|deployment)s?\b.{0,120}\b(not found|does(n't| not) exist|not exist|is unknown)",
            r"\bmodel\b.{0,120}\b(is not available|no longer (available|supported)|decommissioned)",
            r"\bmodel\b.{0,120}\b(has been|was|is) (removed|deprecated|retired|shut ?down|sunset)",
            r"no endpoints found(?! (that|matching|which))",
        ),
    ),
    (
        ModelBusy,
        _statuses(498, 500, 502, 503),
        _any_of(
            r"too busy|server busy|(at|no) capacity|capacity exceeded",
            r"rate[_ ]limit|too many requests|overloaded|(model|is) (is )?(still )?loading|loading model",
        ),
    ),
    (WrongAddress, _statuses(), _any_of(r"unexpected endpoint or method")),
    (ModelTimeout, _statuses(), _any_of(r"timed?[_ -]?out")),
    (RequestRefused, _statuses(), _any_of(r"invalid[_ ]request|bad[_ ]?request")),
)

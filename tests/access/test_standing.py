"""How accounts are classified by what Slack says about them. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from bot.access.access_control import Person
from bot.access.rules import AccessRules, Standing, Treatment, Verdict, standing_by_own_team
from bot.domain import User
from handlers.client.people import person_of

HOME, ORG = "T1", "E1"
OF_ORG = {"enterprise_user": {"enterprise_id": ORG, "teams": ["T2"]}}


@pytest.mark.parametrize(
    ("account", "organisation", "standing"),
    [
        ({"team_id": HOME}, "", Standing.MEMBER),
        ({"team_id": HOME, "is_restricted": True}, "", Standing.GUEST),
        ({"team_id": HOME, "is_ultra_restricted": True}, "", Standing.GUEST),
        ({"team_id": HOME, "is_stranger": True}, "", Standing.OUTSIDER),
        ({"team_id": "T2"}, "", Standing.OUTSIDER),
        ({"team_id": HOME, "deleted": True}, "", Standing.DEACTIVATED),
        ({"team_id": "T2", **OF_ORG}, ORG, Standing.MEMBER),
        ({"team_id": "T2", "is_restricted": True, **OF_ORG}, ORG, Standing.GUEST),
        ({"team_id": ORG}, ORG, Standing.MEMBER),
        ({"team_id": "T2"}, ORG, Standing.OUTSIDER),
        ({"team_id": "T2", "enterprise_user": {"enterprise_id": "E2"}}, ORG, Standing.OUTSIDER),
        (
            {"team_id": "T2", "enterprise_user": {"enterprise_id": "E2", "teams": [HOME]}},
            "",
            Standing.MEMBER,
        ),
        ({}, "", Standing.UNKNOWN),
        ({"team_id": ""}, ORG, Standing.UNKNOWN),
    ],
)
def test_accounts_are_classified(
    account: dict[str, Any], organisation: str, standing: Standing
) -> None:
    assert person_of(account, HOME, organisation).standing is standing


@pytest.mark.parametrize("mark", ["is_admin", "is_owner", "is_primary_owner"])
def test_admins_are_members_whom_slack_calls_so(mark: str) -> None:
    assert person_of({"team_id": HOME, mark: True}, HOME, "") == Person(Standing.MEMBER, True)
    in_org = {"enterprise_user": {"enterprise_id": ORG, mark: True}}
    assert person_of({"team_id": "T2", **in_org}, HOME, ORG).is_admin
    assert not person_of({"team_id": "T2", mark: True}, HOME, "").is_admin
    assert not person_of({"team_id": HOME, mark: True, "deleted": True}, HOME, "").is_admin


@pytest.mark.parametrize(
    ("own", "organisation", "standing"),
    [
        (HOME, "", Standing.MEMBER),
        (HOME, ORG, Standing.MEMBER),
        (ORG, ORG, Standing.MEMBER),
        ("T2", "", Standing.OUTSIDER),
        ("E2", "", Standing.OUTSIDER),
        ("E2", ORG, Standing.OUTSIDER),
        ("T2", ORG, None),
        (None, "", None),
        (None, ORG, None),
    ],
)
def test_a_workspace_reports_what_it_can(
    own: str | None, organisation: str, standing: Standing | None
) -> None:
    assert standing_by_own_team(own, HOME, organisation) is standing


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        ((), True),
        (("U1",), True),
        (("u1",), True),
        (("U*",), True),
        (("T1/U1",), True),
        (("T1/*",), True),
        (("*",), True),
        (("U11",), False),
        (("T2/U1",), False),
        (("W*", "U2"), False),
    ],
)
def test_ids_and_globs_name_people_and_channels(patterns: tuple[str, ...], allowed: bool) -> None:
    rules = AccessRules(users=patterns, channels=patterns, admins=patterns)
    assert rules.allows_user(User(HOME, "U1")) is allowed
    assert rules.allows_channel(HOME, "U1") is allowed
    assert rules.names_admin(User(HOME, "U1")) is (allowed and bool(patterns))
    assert rules.allows_channel(HOME, "")


@pytest.mark.parametrize("outsiders", Treatment)
@pytest.mark.parametrize("guests", Treatment)
def test_every_standing_has_its_verdict(outsiders: Treatment, guests: Treatment) -> None:
    rules = AccessRules(outsiders=outsiders, guests=guests)
    answered = Treatment.ANSWER
    assert {standing: rules.by_standing(standing) for standing in Standing} == {
        Standing.MEMBER: Verdict.ALLOWED,
        Standing.GUEST: Verdict.ALLOWED if guests is answered else Verdict.GUEST,
        Standing.OUTSIDER: Verdict.ALLOWED if outsiders is answered else Verdict.OUTSIDER,
        Standing.UNKNOWN: Verdict.ALLOWED if outsiders is answered else Verdict.UNKNOWN,
        Standing.DEACTIVATED: Verdict.DEACTIVATED,
    }


def test_the_rule_is_one_line() -> None:
    assert AccessRules().describe() == (
        "everybody everywhere; people of other organisations are ignored, guests are answered; "
        "admins: the workspace's admins and owners"
    )
    rules = AccessRules(("U1", "U2"), ("C1", "D*"), Treatment.ANSWER, Treatment.IGNORE, ("U1",))
    assert rules.describe() == (
        "users U1, U2 in C1, D*; people of other organisations are answered, guests are ignored; "
        "admins: the workspace's admins and owners, U1"
    )

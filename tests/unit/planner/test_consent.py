"""What a person must say yes to before a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.fleet_scene import leaky_plan, operator_plan
from tests.unit.engine.scene import a_plan

from knowngood.model.errors import Refused, UsageError
from knowngood.model.evidence import Evidence
from knowngood.model.matrix import UndoClass
from knowngood.model.plan import Plan
from knowngood.planner.consent import Consent, refuse_unasked

NOW = "2026-08-22T03:00:00Z"
PROOF = Evidence(
    run="r1",
    cluster="fra-prod",
    release="r595",
    versions={"gpu-operator": "26.7.0"},
    status="known-good",
    time="2026-08-01T03:00:00Z",
    profile="xe",
    expires="2026-10-01T03:00:00Z",
)
YES = Consent(frozenset({"gpu-operator"}))


NOTHING = Consent()


def asked(plan: Plan, consent: Consent = NOTHING, *evidence: Evidence) -> object:
    return refuse_unasked(plan, evidence, consent, NOW)


def forward_only() -> Plan:
    plan = a_plan()
    return replace(plan, hops=(replace(plan.hops[0], undo=UndoClass.FORWARD_ONLY),))


def test_what_a_canary_goes_first_with_needs_no_yes() -> None:
    assert asked(a_plan()) == asked(leaky_plan()) == {}


def test_what_has_no_canary_goes_where_another_cluster_of_this_hardware_has_proven_it() -> None:
    assert asked(operator_plan(), Consent(), PROOF) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"cluster": "ams-prod"},
        {"profile": "hgx"},
        {"status": "rehearsed"},
        {"versions": {"gpu-operator": "26.3.3"}},
        {"expires": NOW},
    ],
    ids=str,
)
def test_any_other_evidence_is_none(other: dict[str, object]) -> None:
    with pytest.raises(Refused, match="no canary goes first") as caught:
        asked(operator_plan(), Consent(), replace(PROOF, **other))  # type: ignore[arg-type]
    assert "--accept-no-canary gpu-operator" in caught.value.hint


def test_a_yes_that_was_needed_is_kept() -> None:
    assert asked(operator_plan(), YES) == {"accepted_no_canary": ["gpu-operator"]}
    assert asked(operator_plan(), YES, PROOF) == {}


def test_a_yes_to_what_the_plan_does_not_do_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="--accept-no-canary gpu-operator"):
        asked(a_plan(), YES)


def test_what_can_not_be_undone_needs_a_yes_of_its_own() -> None:
    with pytest.raises(Refused, match="no way back: hop-1 of r580 to r595") as caught:
        asked(forward_only())
    assert "--accept-forward-only" in caught.value.hint
    assert asked(forward_only(), Consent(forward_only=True)) == {"accepted_forward_only": ["hop-1"]}

"""What a rule says: kept, broken, or it can't be told."""

from __future__ import annotations

import pytest
from tests.unit.planner.matrices import component, rule

from knowngood.model.matrix import Severity
from knowngood.planner.rules import Outcome, broken, evaluate

COMPONENTS = {
    c.name: c for c in (component("os", "openshift"), component("op", "numeric"), component("mode", "text"))
}
RULE = rule("r", {"op": "26.x"}, {"os": ">=4.18 <4.23", "mode": "open"})


@pytest.mark.parametrize(
    ("versions", "outcome", "blamed"),
    [
        ({"op": "26.7.0", "os": "4.18.1", "mode": "open"}, Outcome.OK, ""),
        ({"op": "26.7.0", "os": "4.17.1", "mode": "open"}, Outcome.BROKEN, "os"),
        ({"op": "26.7.0", "os": "4.17.1"}, Outcome.BROKEN, "os"),
        ({"op": "26.7.0", "mode": "closed"}, Outcome.BROKEN, "mode"),
        ({"op": "26.7.0", "mode": "open"}, Outcome.UNKNOWN, "os"),
        ({"op": "26.7.0"}, Outcome.UNKNOWN, "mode"),
    ],
)
def test_a_rule_is_kept_broken_or_unknown(versions: dict[str, str], outcome: Outcome, blamed: str) -> None:
    (finding,) = evaluate([RULE], COMPONENTS, versions)
    assert (finding.outcome, finding.component) == (outcome, blamed)


@pytest.mark.parametrize("versions", [{"op": "25.3.0", "os": "4.17.1"}, {"os": "4.17.1"}, {}])
def test_a_rule_whose_condition_is_false_or_can_not_be_asked_says_nothing(versions: dict[str, str]) -> None:
    assert evaluate([RULE], COMPONENTS, versions) == ()


def test_without_a_condition_a_rule_always_applies() -> None:
    (finding,) = evaluate([rule("r", {}, {"os": ">=4.18"})], COMPONENTS, {"os": "4.17.0"})
    assert finding.outcome is Outcome.BROKEN


def test_the_sentence_names_component_version_rule_and_source() -> None:
    (finding,) = evaluate([RULE], COMPONENTS, {"op": "26.7.0", "os": "4.17.1", "mode": "open"})
    assert finding.sentence() == "os 4.17.1: r says no (rule r, source: vendor page 7)"


def test_severities_are_kept_apart() -> None:
    warn = rule("w", {}, {"os": ">=4.18"}, severity="warn")
    findings = evaluate([warn], COMPONENTS, {"os": "4.17.0"})
    assert broken(findings, Severity.BLOCK) == ()
    assert len(broken(findings, Severity.WARN)) == 1

"""JUnit: a suite a judgement, a case a gate and node; nothing is ever skipped."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.unit.report.played import calm, undone

from knowngood.report.junit import document, junit, junit_of
from knowngood.report.summary import GateLine, JudgementLine


def judged(*results: GateLine, missing: tuple[str, ...] = (), trouble: str = "") -> ET.Element:
    line = JudgementLine("judge", "fail", trouble, results, missing)
    return ET.fromstring(document("x", [("judge", line)], 1.5))  # noqa: S314 (our own text)


def gate(verdict: str, reason: str = "", node: str = "gpu-1") -> GateLine:
    return GateLine("gpu_errors", node, verdict, reason, {"lines": 4}, "reference", 0.5)


def test_every_result_of_a_run_is_a_case_and_the_sums_are_right() -> None:
    summary = undone().summary
    root = ET.fromstring(junit(summary))  # noqa: S314
    assert int(root.get("tests", "0")) == sum(len(j.results) for j in summary.judgements)
    assert root.get("failures") == "2", "it failed, and again when it was tested once more"
    assert root.get("errors") == "0"
    assert len(root.findall("testsuite")) == len(summary.judgements)


def test_fail_is_a_failure_and_everything_else_that_is_not_pass_an_error() -> None:
    root = judged(gate("pass"), gate("fail", "bad"), gate("inconclusive", "?"), missing=("drift/gpu-1",))
    assert [root.get(k) for k in ("tests", "failures", "errors")] == ["4", "1", "2"]
    assert not root.findall(".//skipped")


def test_trouble_with_the_session_is_an_error_of_its_own() -> None:
    root = judged(gate("pass"), trouble="no session_finish")
    error = root.find(".//error")
    assert error is not None
    assert error.get("message") == "no session_finish"


def test_control_characters_of_a_kernel_line_do_not_break_the_file() -> None:
    failure = judged(gate("fail", "line \x1b[31m \x00 ü €")).find(".//failure")
    assert failure is not None
    assert failure.get("message") == r"line \x1b[31m \x00 ü €"


def test_figures_and_backend_are_properties() -> None:
    root = judged(gate("pass"))
    found = {p.get("name"): p.get("value") for p in root.findall(".//property")}
    assert found == {"lines": "4", "backend": "reference"}


def test_a_clusters_gate_has_a_name_too() -> None:
    case = judged(gate("pass", node="")).find(".//testcase")
    assert case is not None
    assert case.get("name") == "gpu_errors[cluster]"


def test_suites_of_several_runs_are_told_apart() -> None:
    root = ET.fromstring(junit_of((calm().summary, undone().summary)))  # noqa: S314
    assert all(str(s.get("name")).startswith("run-1/") for s in root.findall("testsuite"))

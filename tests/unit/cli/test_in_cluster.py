"""A run in the cluster is followed by its checkpoint; when its pod is gone, who takes it over is told how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.engine.scene import a_plan

from knowngood.cli import in_cluster
from knowngood.cli.in_cluster import JOBS, begin, follow, job_of, words_of
from knowngood.model.errors import Inconclusive, Refused
from knowngood.model.run_summary import RunSummary
from knowngood.planner.consent import Consent
from knowngood.planner.runner_job import RUN_ID, called

FILE = Path(__file__).parents[3] / "deploy" / "runner" / "job.yaml"
RUN = "r20260822-030000-cccc"


class Saved:
    """Checkpoints, one look after the other."""

    def __init__(self, *looks: RunSummary | None) -> None:
        self.looks = list(looks)

    def runs(self) -> tuple[RunSummary, ...]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return (found,) if found else ()


def followed(kube: FakeKube, monkeypatch: pytest.MonkeyPatch, *looks: RunSummary | None) -> int:
    monkeypatch.setattr(in_cluster, "checkpoint", lambda _kubeconfig: Saved(*looks))
    return follow(kube, Path("kubeconfig"), RUN, pause=lambda _seconds: None)


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.put(f"{JOBS}/{called(RUN)}", {"metadata": {"name": called(RUN)}, "status": {}})
    return kube


AT = RunSummary(RUN, step="hop-1/ring-0/batch-1/judge", who="pod@runner")


@pytest.mark.parametrize(("end", "code"), [("done", 0), ("held", 5), ("restored", 6)])
def test_it_is_told_step_by_step_and_ends_as_the_run_does(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], end: str, code: int
) -> None:
    last = replace(AT, end=end, exit_code=code)
    assert followed(kube, monkeypatch, None, AT, AT, last) == code
    said = capsys.readouterr().err
    assert said.count("hop-1/ring-0/batch-1/judge (by pod@runner)") == 1, "each new step once"
    assert f"ended {end}" in said


def over(kube: FakeKube, **condition: str) -> None:
    job: dict[str, Any] = kube.objects[f"{JOBS}/{called(RUN)}"]
    kube.put(f"{JOBS}/{called(RUN)}", {**job, "status": {"conditions": [{"status": "True", **condition}]}})


def test_a_pod_that_is_gone_leaves_a_run_that_any_machine_takes_over(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(kube, type="Failed", reason="BackoffLimitExceeded")
    with pytest.raises(Inconclusive, match="and run r20260822-030000-cccc has not ended") as told:
        followed(kube, monkeypatch, AT)
    assert f"knowngood resume {RUN} takes it over" in told.value.hint
    kube.objects.clear()
    with pytest.raises(Inconclusive, match="its Job was deleted, and no run began"):
        followed(kube, monkeypatch, None)


def test_the_job_and_its_plan_are_made_together_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kube, plan = FakeKube(), a_plan()
    kube.put("/api/v1/namespaces/knowngood", {})
    words = words_of(plan, Consent(frozenset({"openshift"}), forward_only=True), "ring-0", "file")
    assert words[:4] == ["upgrade", "ams-prod", "--plan", "/knowngood/plan/plan.json"]
    assert words[6:] == [
        *("json", "--accept-no-canary", "openshift", "--accept-forward-only"),
        *("--pause-after", "ring-0", "--record", "file"),
    ]
    run = begin(kube, job_of(FILE), plan, "{}", words, plan.nodes)
    job = kube.objects[f"{JOBS}/{called(run)}"]
    assert {"name": RUN_ID, "value": run} in job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert any(where.endswith(f"configmaps/{called(run)}") for where in kube.objects)


def test_a_manifest_with_an_open_tag_makes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(FILE.read_text().replace("@sha256:71211f8a", ":latest-71211f8a"))
    with pytest.raises(Refused, match="not pinned by its digest"):
        job_of(file)

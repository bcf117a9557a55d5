"""A chart that Argo CD brings moves: taken back with a fault, then done without; two runs on one twin of `vanilla`.

Real twin with Argo CD, Git, pytest. No node is touched, and the oracle judges all of it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integration.faults.rows import CHART, CHART_NEW, QUICK
from tests.integration.play import Ended, Play, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path

OPERATOR, SPACE, OLD = "kai-scheduler", "kai-scheduler", "0.12.16"
FROM, TO = "k8s-1.34-r580", "chart-alone"


def moved(play: Play, *more: str) -> Ended:
    asked = ("upgrade", play.cluster, "--to", TO, "--yes", "--output", "json")
    return play.knowngood(*asked, "--accept-no-canary", OPERATOR, *more)


def images(play: Play) -> set[str]:
    """What the chart's workloads run."""
    found = [
        one
        for kind in ("deployments", "daemonsets")
        for one in Kube(play.stage.kubeconfig).list(path("apps/v1", kind, "", SPACE))
    ]
    assert len(found) == 2
    return {
        c["image"].rpartition(":")[2] for one in found for c in one["spec"]["template"]["spec"]["containers"]
    }


@pytest.mark.slow
def test_a_chart_that_does_not_start_is_taken_back_whole_and_comes_once_it_does(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "vanilla", limits={**QUICK, "settleSeconds": 20}) as play:
        releases = play.stage.matrix / "releases"
        text = (releases / f"{FROM}.yaml").read_text()
        assert f"{OPERATOR}: {OLD}" in text
        (releases / f"{TO}.yaml").write_text(text.replace(f"{OPERATOR}: {OLD}", f"{OPERATOR}: {CHART_NEW}"))
        git = ("git", "-C", str(play.stage.matrix), "-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "A release"], check=True)
        before = play.snapshot("before")

        play.stage.fault(CHART.fault, CHART.node, CHART.params)
        ended = moved(play)
        assert (ended.code, ended.result["end"]) == (CHART.code, CHART.end), explained(ended)
        assert CHART.caught_by in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert play.hits(CHART.fault), "it never hit"
        play.stage.clear_faults()
        assert images(play) == {f"v{OLD}"}
        assert play.differences(before) == ""

        ended = moved(play, "--try-again")
        assert (ended.code, ended.result["end"]) == (0, "done"), explained(ended)
        assert images(play) == {f"v{CHART_NEW}"}
        assert {n: len(versions) for n, versions in play.drivers().items()} == {
            "van-gpu-1": 1,
            "van-gpu-2": 1,
        }
        assert not [w for w in play.writes() if w["kind"] in ("Deployment", "DaemonSet")], "Argo CD does it"

"""An operator that OLM installs moves, with its drivers ring by ring: done, and what goes wrong on the way.

Real twin with OLM, kustomize overlays, Git, Argo CD, Ansible, pytest; one run a row on `fra-prod`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.faults.rows import (
    CSV,
    CSV_NEW,
    FRA_CANARY,
    FRA_LAST,
    FRA_LATER,
    FRA_QUICK,
    OPERATORS,
    OfOperator,
)
from tests.integration.play import Ended, Play, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path

OPERATOR, SPACE, OLD = "gpu-operator", "nvidia-gpu-operator", "25.10.1"
FROM, TO = "h200-4.18-r580.105", "operator-alone"


@contextmanager
def on_fra(folder: Path) -> Iterator[Play]:
    """`fra-prod`, and a release that differs from its own by the GPU Operator alone."""
    with staged(folder / "stage", "fra-prod", limits=FRA_QUICK) as play:
        releases = play.stage.matrix / "releases"
        text = (releases / f"{FROM}.yaml").read_text()
        assert f"{OPERATOR}: {OLD}" in text
        (releases / f"{TO}.yaml").write_text(text.replace(f"{OPERATOR}: {OLD}", f"{OPERATOR}: {CSV_NEW}"))
        git = ("git", "-C", str(play.stage.matrix), "-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "A release"], check=True)
        yield play


def moved(play: Play) -> Ended:
    return play.knowngood(
        *("upgrade", play.cluster, "--to", TO, "--yes", "--output", "json"), "--accept-no-canary", OPERATOR
    )


def installed(play: Play) -> dict[str, str]:
    """ClusterServiceVersion -> phase."""
    where = path("operators.coreos.com/v1alpha1", "clusterserviceversions", "", SPACE)
    return {c["metadata"]["name"]: c["status"]["phase"] for c in Kube(play.stage.kubeconfig).list(where)}


@pytest.mark.slow
def test_the_operator_moves_and_each_driver_is_loaded_anew_in_its_ring(tmp_path: Path) -> None:
    with on_fra(tmp_path) as play:
        ended = moved(play)
        assert ended.code == 0, explained(ended)
        assert installed(play) == {f"{CSV}{CSV_NEW}": "Succeeded"}
        loads = {node: len(versions) for node, versions in play.drivers().items()}
        assert loads == {FRA_CANARY: 3, FRA_LATER: 2, FRA_LAST: 2}, "the canary loads it a second time"
        approved = [w for w in play.writes() if w["kind"] == "InstallPlan"]
        assert len(approved) == 1, "one plan was approved, and nothing else of OLM's was written"


OF_IT = {"package": "gpu-operator-certified"}
PARAMS = {
    "olm-plan-carries-more": OF_IT,
    "olm-catalog-moves": OF_IT,
    "olm-install-times-out": {**OF_IT, "version": CSV_NEW},
    "olm-stale-subscription": {**OF_IT, "times": "1"},
    "xid-31-after-driver": {"version": "580.105.08"},
}


LONG = ("olm-stale-subscription and xid-31-after-driver",)
"""Rows that `make kills` runs: another one goes the same way in half the time."""


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.id, marks=pytest.mark.exhaustive if row.id in LONG else pytest.mark.slow)
        for row in OPERATORS
    ],
)
def test_what_goes_wrong_with_an_operator_is_refused_first_or_taken_back_whole(
    row: OfOperator, tmp_path: Path
) -> None:
    with on_fra(tmp_path) as play:
        before = play.snapshot("before")
        for name, node in row.faults:
            play.stage.fault(name, node, PARAMS[name])
        ended = moved(play)
        assert ended.code == row.code, explained(ended)
        assert ended.result["end"] == row.end, explained(ended)
        assert row.says in ended.result["why"] + str(ended.result["blamed"]), explained(ended)
        assert all(play.hits(name) for name, _ in row.faults), "it never hit"
        play.stage.clear_faults()
        assert installed(play) == {f"{CSV}{OLD}": "Succeeded"}
        if row.code == 6:
            assert play.differences(before) == ""
        else:
            assert not [subject for subject in play.commits() if OPERATOR in subject]

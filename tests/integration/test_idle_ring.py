"""On the twin, too: where no tenant works, our own load carries the soak, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.play import awaited, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.model import names


@pytest.mark.exhaustive
def test_an_upgrade_of_a_cluster_on_which_nobody_works_is_done_and_says_whose_work_it_was(
    tmp_path: Path,
) -> None:
    with staged(tmp_path / "stage", "lab-small") as play:
        kube = Kube(play.stage.kubeconfig)
        for work in kube.list(path("apps/v1", "deployments", "", "notebooks")):
            where = path("apps/v1", "deployments", work["metadata"]["name"], "notebooks")
            kube.merge(where, {"spec": {"replicas": 0}})
        awaited(lambda: not kube.list(path("v1", "pods", "", "notebooks")), "an idle cluster")
        ended = play.knowngood("upgrade", "lab-small", "--to", "r595", "--yes", "--output", "json")
        assert ended.code == 0, explained(ended)
        soaks = [r for r in play.records() if r["step"].endswith("/soak") and r["type"] == "outcome"]
        assert len(soaks) == 2
        for soak in soaks:
            detail = soak["detail"]
            assert detail["tenants_gpu_seconds"] == 0
            assert detail["synthetic_gpu_seconds"] >= detail["wanted_gpu_seconds"]
            assert "a synthetic load of" in detail["why"]
        assert not kube.list(path("batch/v1", "jobs", "", names.NAMESPACE))

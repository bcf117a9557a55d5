"""A driver that Git leaves to the GPU Operator: it comes with the operator, ring by ring, and goes back with it.

Real twin with OLM, Git, Argo CD, Ansible, pytest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.integration.faults.rows import FRA_CANARY, FRA_QUICK
from tests.integration.play import Ended, Play, explained, staged

from knowngood.matrix.locate import matrix_dir

OPERATOR, DRIVER, CLUSTER = "gpu-operator", "nvidia-driver", "fra-prod"
FROM, TO = "h200-4.18-r580.105", "with-its-operator"
BRINGS = {"25.10.1": "580.105.08", "26.3.3": "580.126.20"}


@contextmanager
def following(folder: Path) -> Iterator[Play]:
    """`fra-prod`, whose ClusterPolicy names no driver."""
    source = folder / "matrix"
    shutil.copytree(matrix_dir(), source)
    file = source / "clusters" / f"{CLUSTER}.yaml"
    cluster = yaml.safe_load(file.read_text())
    cluster["declare"] = {OPERATOR: cluster["declare"][OPERATOR]}
    cluster["follows"] = {DRIVER: {"component": OPERATOR, "versions": BRINGS}}
    cluster["release"] = FROM
    reads = f"overlays/{CLUSTER}/operators"
    cluster["gitops"]["applications"] = [a for a in cluster["gitops"]["applications"] if a["path"] == reads]
    file.write_text(yaml.safe_dump(cluster))
    release = yaml.safe_load((source / "releases" / f"{FROM}.yaml").read_text())
    release["components"] |= {OPERATOR: "26.3.3", DRIVER: BRINGS["26.3.3"]}
    (source / "releases" / f"{TO}.yaml").write_text(yaml.safe_dump(release))
    with staged(folder / "stage", CLUSTER, limits=FRA_QUICK, source=source) as play:
        yield play


def moved(play: Play) -> Ended:
    words = ("upgrade", CLUSTER, "--to", TO, "--yes", "--output", "json", "--accept-no-canary", OPERATOR)
    return play.knowngood(*words, deadline=900.0)


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_it_comes_with_its_operator_ring_by_ring(tmp_path: Path) -> None:
    with following(tmp_path) as play:
        ended = moved(play)
        assert (ended.code, ended.result["end"]) == (0, "done"), explained(ended)
        assert {node: loaded[-1] for node, loaded in play.drivers().items()} == dict.fromkeys(
            play.drivers(), BRINGS["26.3.3"]
        )


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_a_canary_that_fails_takes_both_back(tmp_path: Path) -> None:
    with following(tmp_path) as play:
        play.stage.fault("xid-31-after-driver", FRA_CANARY, {"version": BRINGS["26.3.3"]})
        ended = moved(play)
        assert (ended.code, ended.result["end"]) == (6, "restored"), explained(ended)
        assert {loaded[-1] for loaded in play.drivers().values()} == {BRINGS["25.10.1"]}

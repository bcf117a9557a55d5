"""`discover` on the twin of each shipped cluster gives the shipped file, but for what no cluster shows.

What a twin does not show is listed here; real clusters show more of it (Infrastructure, Network, OperatorHub).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tests.integration.play import Play, explained, staged

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Cluster
from knowngood.report import published

MATRIX = load(matrix_dir())
UNSHOWN_TRAITS = {"infrastructure", "network", "disconnected"}
CHOSEN = "batch, evictionDeadlineSeconds, contact, credentials, limits, policy, alertmanager, probeImage, windowEnd"
"""What people decide: nothing of a cluster shows it."""
NO_BMC = {"lab-firmware": "r580"}
"""BMCs are not asked: the release that names none of them is nearer."""
LABELLED = {n for n, c in MATRIX.components.items() if c.mover and c.mover.on_a_load}
"""Their declaration is an object that nothing acts on: nothing shows what it is for."""
NO_OWNER = {"ams-prod": {"render": ("render", "render-batch")}}
"""Tenants of several namespaces; a twin's namespaces have no label of Capsule's or Run:ai's that says so."""


def discovered(play: Play, folder: Path) -> dict[str, object]:
    """The file goes into the stage's matrix beside the shipped one; what was printed."""
    checkout = folder / "checkout"
    subprocess.run(["git", "clone", "-q", str(play.stage.repo), str(checkout)], check=True)
    clusters = play.stage.matrix / "clusters"
    ended = play.knowngood("discover", "found", "--gitops", str(checkout), "--out", str(folder), "-o", "json")
    assert ended.code == 0, explained(ended)
    shutil.copy(folder / "found.yaml", clusters / "found.yaml")
    return ended.result


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MATRIX.clusters))
def test_the_shipped_file_is_found_but_for_what_no_cluster_shows(name: str, tmp_path: Path) -> None:
    with staged(tmp_path / "stage", name) as play:
        before = len(play.writes())
        said = discovered(play, tmp_path)
        assert play.writes()[before:] == []
        again = play.knowngood(
            "discover", "found", "--gitops", str(tmp_path / "checkout"), "--dry-run", "-o", "json"
        )
    Draft202012Validator(published.schema("discover")).validate(said)
    assert again.result["differences"] == []
    found, wanted = load(play.stage.matrix).clusters["found"], MATRIX.clusters[name]
    assert (found.profile, found.release) == (wanted.profile, NO_BMC.get(name, wanted.release))
    assert machines(found) == machines(wanted)
    assert [(r.name, r.nodes) for r in found.rings] == [(r.name, r.nodes) for r in wanted.rings]
    assert found.traits.items() <= wanted.traits.items()
    assert {*wanted.traits} - {*found.traits} == UNSHOWN_TRAITS
    assert sorted(found.gitops.applications, key=str) == sorted(wanted.gitops.applications, key=str)
    assert found.gitops.branch == wanted.gitops.branch
    shown = [d for d in wanted.declarations if d.component not in LABELLED]
    assert {(d.component, d.file, d.path, d.object) for d in shown} <= {
        (d.component, d.file, d.path, d.object) for d in found.declarations
    }
    assert found.namespaces == wanted.namespaces
    assert found.raw.get("sharing") == wanted.raw.get("sharing")
    assert found.identity is not None
    joined = NO_OWNER.get(name, {})
    for tenant in wanted.tenants:
        spaces = [t.namespaces for t in found.tenants if set(t.namespaces) <= set(tenant.namespaces)]
        assert sorted(s for row in spaces for s in row) == sorted(joined.get(tenant.name, tenant.namespaces))


def machines(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    return cluster.control_plane, cluster.cpu, cluster.gpu, cluster.virtual

"""What a run's start has read is judged as it was read, if it is new; else the judgement reads for itself."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from tests.movers import MOVERS
from tests.unit.adapters.cluster.test_scale import cluster_of
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE, machine

from knowngood.adapters.clock import this_boot
from knowngood.adapters.cluster import journals, spool
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.model.node import NodeState


def kept_by(folder: Path) -> tuple[Path, FakeKube, NodeState]:
    kube = FakeKube()
    machine(kube)
    seen = KubeCluster(kube, cluster_of([NODE]), folder=folder).begin([NODE], MOVERS)[NODE]
    return folder / spool.FILE, kube, seen


def test_a_runs_first_look_is_kept_as_it_was_read_with_the_kernel_log(tmp_path: Path) -> None:
    path, kube, seen = kept_by(tmp_path)
    found = spool.read(str(path))
    assert found.states == {NODE: seen}
    assert found.journals == {NODE: "".join(journals.thinned(kube.journals[NODE].splitlines()))}
    assert seen == KubeCluster(kube, cluster_of([NODE])).observe([NODE], MOVERS)[NODE], (
        "the same look, but for the ports"
    )
    assert found.at <= time.monotonic()


def test_a_node_that_could_not_be_read_is_not_kept(tmp_path: Path) -> None:
    kube = FakeKube()
    machine(kube)
    del kube.journals[NODE]
    seen = KubeCluster(kube, cluster_of([NODE]), folder=tmp_path).begin([NODE], MOVERS)[NODE]
    assert not seen.reachable
    assert spool.read(str(tmp_path / spool.FILE)).states == {}


@pytest.mark.parametrize(
    ("boot", "age", "new"),
    [
        (this_boot(), 1.0, True),
        (this_boot(), spool.NEWEST + 1, False),
        (this_boot(), -1e6, False),
        ("another", 1.0, False),
        ("", 1.0, False),
    ],
)
def test_a_look_that_is_not_new_or_of_another_boot_of_this_machine_is_not_judged(
    tmp_path: Path, boot: str, age: float, *, new: bool
) -> None:
    """The monotonic clock of another boot may say any time, also a moment ago."""
    path, _, _ = kept_by(tmp_path)
    _, *nodes = gzip.decompress(path.read_bytes()).decode().splitlines()
    with gzip.open(path, "wt") as file:
        file.write("\n".join([json.dumps([boot, time.monotonic() - age]), *nodes]))
    assert bool(spool.read(str(path)).states) is new


def test_a_damaged_look_is_as_good_as_none(tmp_path: Path) -> None:
    path, _, _ = kept_by(tmp_path)
    whole = path.read_bytes()
    for damaged in (b"", b"x", whole[: len(whole) // 2], gzip.compress(b"1\n{}\n")):
        path.write_bytes(damaged)
        assert spool.read(str(path)).states == {}
    assert spool.read("").states == {}

"""`prune` forgets old runs of a cluster, with all their files, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.test_told import save
from tests.unit.report.played import undone

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.cli.commands import prune as prune_module
from knowngood.model import names


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """A cluster that keeps three runs, of which the oldest may go."""
    fake = FakeKube()
    fake.put(f"/api/v1/namespaces/{names.NAMESPACE}", {"metadata": {}})
    fake.put(f"/api/v1/namespaces/{names.NAMESPACE}/configmaps/ours-not", {"metadata": {}})
    for number in (1, 2, 3):
        save(fake, undone(), f"r2026082{number}-030000-aaaa", fence=number)
    monkeypatch.setattr(prune_module, "Kube", lambda _path: fake)
    return fake


def prune(tmp_path: Path, *more: str) -> Said:
    config = tmp_path / "config"
    config.write_text("")
    return knowngood("prune", "--keep", "2", "--kubeconfig", config, *more)


def kept(kube: FakeKube) -> set[str]:
    return {where.rpartition("/")[2][:38] for where in kube.objects if "/configmaps/" in where}


def test_a_dry_run_lists_and_deletes_nothing(kube: FakeKube, tmp_path: Path) -> None:
    before = dict(kube.objects)
    said = prune(tmp_path, "--dry-run")
    assert (said.code, "r20260821-030000-aaaa" in said.out, "r20260822" in said.out) == (0, True, False)
    assert kube.objects == before


def test_an_old_run_goes_with_all_its_files(kube: FakeKube, tmp_path: Path) -> None:
    said = prune(tmp_path, "--yes")
    assert said.code == 0, said.err
    assert [r.run for r in ConfigMapCheckpoint(kube).runs()] == [
        "r20260823-030000-aaaa",
        "r20260822-030000-aaaa",
    ]
    assert not [name for name in kept(kube) if "r20260821" in name]
    assert "ours-not" in kept(kube)
    assert "nothing to forget" in prune(tmp_path, "--yes").out


def test_nobody_there_to_say_yes_deletes_nothing(kube: FakeKube, tmp_path: Path) -> None:
    before = dict(kube.objects)
    assert prune(tmp_path).code == 2
    assert kube.objects == before

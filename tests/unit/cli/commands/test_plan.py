"""`knowngood plan` on the shipped matrix: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood

from knowngood.cli import wiring
from knowngood.model.field import ObjectRef
from knowngood.planner.readiness.required import unmet_in_git

NAMED = ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "ring-0")
OBSERVED = """openshift: 4.21.28
rhcos-kernel: 5.14.0-570.el9_6
gpu-operator: 26.7.0
nvidia-driver: 595.91.07
network-operator: 26.4.1
nic-firmware: 28.47.1026
sriov-network-operator: 4.21.0
nfd: 4.22.0
dcgm-exporter: 4.6.0-4.8.3
gpu-operator-rdma: "false"
"""


@pytest.fixture
def running(tmp_path: Path) -> Path:
    file = tmp_path / "observed.yaml"
    file.write_text(OBSERVED)
    return file


def test_the_argument_and_the_option_name_the_same_cluster() -> None:
    by_argument = knowngood("plan", "ams-prod", "--to", "r595")
    assert by_argument.code == 0
    assert knowngood("plan", "--cluster", "ams-prod", "--to", "r595") == by_argument
    assert knowngood("plan", "ams-prod", "--cluster", "lab-small", "--to", "r595").code == 2
    assert "no cluster is named" in knowngood("plan", "--to", "r595").err


def test_a_plan_from_what_really_runs_says_all_that_matters_of_each_hop(running: Path) -> None:
    said = knowngood("plan", "ams-prod", "--to", "h200-4.22-r595", "--from-file", running)
    assert said.code == 0, said.err
    for words in (
        "openshift 4.21.28 → 4.22.9",
        "with it kubernetes 1.34.0 → 1.35.0, rhcos-kernel 5.14.0-570.el9_6 → 5.14.0-687.el9_8",
        "can't be undone (forward-only)",
        "POINT OF NO RETURN",
        "nothing before it can be undone once it began",
        "proven again on the new kernel: smoke_training",
        "prove it first on another cluster of this profile",
        "sriov-network-operator: edges from shipped facts",
        "channel stable",
        "why now: waits for hop-1: no catalog of openshift 4.21 offers sriov-network-operator 4.21.0 to 4.22.0",
        "not yet movable by knowngood: every hop",
        "time: about 2 h 40 min: 8 x 20 min",
        "no canary: hop-1 to hop-2\n",
        "was observed, r580 has",
    ):
        assert words in said.out


def test_a_cluster_that_is_too_new_for_the_goal_learns_how_far_it_gets() -> None:
    """r580 names every component that the wider rows name, so such a plan can be asked for without --from-file."""
    said = knowngood("plan", "ams-prod", "--to", "h200-4.22-r595")
    assert said.code == 1
    assert "openshift 4.18.52 to 4.22.9: no sequence of published updates" in said.err
    assert "as far as 4.19.42" in said.err


def test_one_hop_is_explained(running: Path) -> None:
    words = ("plan", "ams-prod", "--to", "h200-4.22-r595", "--from-file", running, "--explain")
    said = knowngood(*words, "hop-1")
    assert "this is the point of no return" in said.out
    assert "afterwards the cluster rests on" in said.out
    found = json.loads(knowngood(*words, "hop-1", "-o", "json").out)
    assert found["moves"][0]["to_version"] == "4.22.9"
    assert knowngood(*words, "hop-9").code == 2


def test_the_catalog_that_the_cluster_has_decides_and_is_named(running: Path, tmp_path: Path) -> None:
    """A mirror without the new operator: the shipped facts would offer it."""
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        "schema: olm.package\nname: sriov-network-operator\ndefaultChannel: stable\n---\n"
        "schema: olm.channel\npackage: sriov-network-operator\nname: stable\n"
        "entries: [{name: sriov-network-operator.v4.21.0}]\n"
    )
    words = ("plan", "ams-prod", "--to", "h200-4.22-r595", "--from-file", running, "--catalog")
    here = knowngood(*words, f"sriov-network-operator={catalog}")
    assert here.code == 0
    assert f"sriov-network-operator: edges from {catalog}; other minors: shipped facts" in here.out
    then = knowngood(*words, f"sriov-network-operator@4.22={catalog}")
    assert then.code == 1
    assert "sriov-network-operator 4.21.0 to 4.22.0: no way leads there" in then.err


def test_a_catalog_of_a_whole_version_counts_for_its_minor_and_must_be_of_the_package(
    running: Path, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.yaml"
    text = (
        "schema: olm.package\nname: sriov-network-operator\ndefaultChannel: stable\n---\n"
        "schema: olm.channel\npackage: sriov-network-operator\nname: stable\n"
        "entries: [{name: sriov-network-operator.v4.21.0}]\n"
    )
    catalog.write_text(text)
    words = ("plan", "ams-prod", "--to", "h200-4.22-r595", "--from-file", running, "--catalog")
    assert knowngood(*words, f"sriov-network-operator@4.22.9={catalog}").code == 1
    catalog.write_text(text.replace("sriov-network-operator", "nfd"))
    other = knowngood(*words, f"sriov-network-operator={catalog}")
    assert other.code == 2
    assert "no package sriov-network-operator; there are nfd" in other.err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--accept-risk", "Etcd"), "there is no risk 'Etcd'"),
        (("--catalog", "gpu-operator"), "COMPONENT=FILE is expected"),
        (("--catalog", "gpu-op=x.yaml"), "there is no component 'gpu-op'"),
        (("--catalog", "gpu-operator=x.yaml"), "there is no such catalog"),
        (("--catalog", "gpu-operator@v4.18=x.yaml"), "'v4.18' is no OpenShift minor"),
        (("--catalog", "gpu-operator@foo=x.yaml"), "'foo' is no OpenShift minor"),
        (("--catalog", "gpu-operator@=x.yaml"), "'' is no OpenShift minor"),
        (("--catalog", "nvidia-driver=x.yaml"), "no catalog decides on nvidia-driver"),
        (("--accept-risk", "Nix"), "knowngood show edge openshift"),
        (("--channel", "slow"), "'slow' is not one of"),
        (("--from-file", "nowhere.yaml"), "cannot be read"),
        (("--explain", "hop-7"), "the plan has no hop 'hop-7'"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_says_what_is_wrong(more: tuple[str, ...], says: str) -> None:
    said = knowngood("plan", "ams-prod", "--to", "r595", *more)
    assert said.code == 2
    assert says in said.err


def test_no_plan_is_exit_1_and_says_what_would_have_to_give() -> None:
    said = knowngood("plan", "ams-prod", "--to", "h200-4.14-r550")
    assert said.code == 1
    assert "going back is a procedure by hand" in said.err


def test_what_git_says_otherwise_than_a_mover_requires_is_a_warning_of_a_plan_from_git(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = unmet_in_git({NAMED: {"spec.gds.enabled": "true"}}, {NAMED: {"spec.gds.enabled": "false"}})
    monkeypatch.setattr(wiring, "declared_versions", lambda _cluster: {})
    monkeypatch.setattr(wiring, "required_in_git", lambda _cluster, _plan: tuple(said))
    found = knowngood("plan", "ams-prod", "--to", "r595", "--from-git")
    told = "NVIDIADriver ring-0 in Git: spec.gds.enabled is false, it must be true (set it in Git first)"
    assert told in found.out
    assert told not in knowngood("plan", "ams-prod", "--to", "r595").out

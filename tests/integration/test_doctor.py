"""`doctor` finds each thing that a run needs, names it and its fix, and a run refuses for the same reason.

One twin; each thing is taken away and put back. Both go by the real adapters: `doctor` as its command does, the run by
its own verbs up to its first commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.integration.bound import bind
from tests.integration.play import awaited, staged
from tests.integration.ward import CLUSTER, Ward

from knowngood.adapters.cluster import surroundings
from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.adapters.kubernetes.lease import LEASE_PATH, micro_time
from knowngood.adapters.processes import machine
from knowngood.engine import checks
from knowngood.model.examination import Examination, Line
from knowngood.model.names import CLAIM_ANNOTATION, NAMESPACE, PROBE_ACCOUNT
from knowngood.model.record import Status
from knowngood.model.state import RunState
from knowngood.model.steppath import StepPath
from knowngood.model.verdict import Verdict
from knowngood.report import published
from knowngood.report.doctor_text import doctor_json, doctor_text

pytestmark = pytest.mark.slow
NODE = "lab-gpu-2"
DRIVER = path("nvidia.com/v1alpha1", "nvidiadrivers", "ring-1")
POLICY = path("nvidia.com/v1", "clusterpolicies", "gpu-cluster-policy")
APPLICATION = path("argoproj.io/v1alpha1", "applications", "lab-small-gpu", "openshift-gitops")
PROJECT = path("argoproj.io/v1alpha1", "appprojects", "default", "openshift-gitops")
ACCOUNT = path("v1", "serviceaccounts", PROBE_ACCOUNT, NAMESPACE)


@pytest.fixture(scope="module", name="ward")
def _ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with staged(tmp_path_factory.mktemp("doctor") / "stage", CLUSTER) as play:
        admin = Kube(play.stage.kubeconfig)
        admin.merge(APPLICATION, {"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}})
        yield Ward(play, admin, bind(play.stage.kubeconfig, play.stage.folder))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SETTLES", 0.0)


Taking = Callable[[Ward, pytest.MonkeyPatch], AbstractContextManager[None]]


def _annotated(key: str, value: str) -> Taking:
    node = path("v1", "nodes", NODE)

    def taking(ward: Ward, _monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
        there, gone = ({"metadata": {"annotations": {key: v}}} for v in (value, None))
        return ward.merged(node, there, gone)

    return taking


def _node(spec: Mapping[str, Any], back: Mapping[str, Any]) -> Taking:
    return lambda ward, _: ward.merged(path("v1", "nodes", NODE), spec, back)


@contextmanager
def _patched(monkeypatch: pytest.MonkeyPatch, *what: Any) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(*what)
        yield


class Ahead(datetime):
    """A clock that is two minutes fast."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return super().now(tz) + timedelta(minutes=2)


def _lease() -> Mapping[str, Any]:
    spec = {"holderIdentity": "run-9", "renewTime": micro_time(), "leaseDurationSeconds": 600}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "knowngood", "namespace": NAMESPACE},
        "spec": {**spec, "acquireTime": micro_time(), "leaseTransitions": 1},
    }


@contextmanager
def _open_run(ward: Ward) -> Iterator[None]:
    declared = StepPath("hop-1/ring-0/declare")
    frozen = {"cluster": CLUSTER, "from": "r580", "to": "r595"}
    state = RunState(
        run="r20260101-000000-abcd", frozen=frozen, intended=(declared,), next_seq=3, seq=3, fence=1
    )
    checkpoint = ConfigMapCheckpoint(ward.admin)
    checkpoint.save(state)
    yield
    checkpoint.forget(state.run)


def _intruder() -> Mapping[str, Any]:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "NVIDIADriver",
        "metadata": {"name": "intruder"},
        "spec": {
            "driverType": "gpu",
            "version": "580.173.02",
            "repository": "mirror.example.com/nvidia",
            "image": "driver",
            "nodeSelector": {"nvidia.com/gpu.present": "true"},
        },
    }


@contextmanager
def _moved(folder: Path) -> Iterator[None]:
    away = folder.with_name("away")
    folder.rename(away)
    yield
    away.rename(folder)


WINDOW = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]}
NO_PROGRAM = {"a-program-that-nobody-has": "install it"}

TAKEN: Mapping[str, tuple[Taking, str, str, str]] = {
    "a program": (
        lambda _, m: _patched(m, machine, "PROGRAMS", NO_PROGRAM),
        "tools",
        "not on this machine",
        "install",
    ),
    "space on the disk": (
        lambda _, m: _patched(m, machine, "ROOM", 2**60),
        "room",
        "MiB are free",
        "--runs-dir",
    ),
    "the right to patch nodes": (
        lambda w, _: w.without("clusterroles", "", "nodes", "patch"),
        *("rights", "no right to patch nodes", "deploy/"),
    ),
    "the right to evict": (
        lambda w, _: w.without("clusterroles", "", "pods/eviction", "create"),
        *("rights", "no right to create pods/eviction", "deploy/"),
    ),
    "the right to restart a driver": (
        lambda w, _: w.without("roles", "nvidia-gpu-operator", "pods", "delete"),
        *("rights", "no right to delete pods", "deploy/"),
    ),
    "the right time": (lambda _, m: _patched(m, surroundings, "datetime", Ahead), "clock", "ahead of", "NTP"),
    "the Lease": (
        lambda w, _: w.made(LEASE_PATH, _lease()),
        "lease",
        "run run-9 holds it",
        "knowngood status run-9",
    ),
    "the end of an earlier run": (lambda w, _: _open_run(w), "open-run", "has not ended", "knowngood resume"),
    "a node of the file": (
        lambda w, _: w.cluster_file(NODE, "lab-gpu-9"),
        *("nodes", "lab-gpu-9: in the cluster file, but not a node of this cluster", ""),
    ),
    "a clean node": (
        _annotated(CLAIM_ANNOTATION, "run-0/1"),
        "left-over",
        "left over from before",
        "knowngood clear",
    ),
    "a node without others' cordons": (
        _node({"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None}}),
        *("actors", NODE, "wait until it is done"),
    ),
    "a node that no health check has taken": (
        _node(
            {"metadata": {"labels": {"dgxc.nvidia.com/nvsentinel-state": "quarantined"}}},
            {"metadata": {"labels": {"dgxc.nvidia.com/nvsentinel-state": None}}},
        ),
        *("actors", "NVSentinel has taken it out", "wait until it is done"),
    ),
    "the probe's account": (lambda w, _: w.gone(ACCOUNT), "probes", PROBE_ACCOUNT, "apply deploy/base"),
    "a namespace that takes probes": (
        lambda w, _: w.merged(
            path("v1", "namespaces", NAMESPACE),
            {"metadata": {"labels": {surroundings.LEVEL: "restricted"}}},
            {"metadata": {"labels": {surroundings.LEVEL: None}}},
        ),
        *("probes", "is restricted", "apply deploy/base"),
    ),
    "the probe's image": (
        lambda w, _: w.cluster_file("probeImage:", "# probeImage:"),
        *("probes", "probeImage is not set", "deploy/probe"),
    ),
    "autoUpgrade off": (
        lambda w, _: w.merged(
            DRIVER,
            {"spec": {"upgradePolicy": {"autoUpgrade": True}}},
            {"spec": {"upgradePolicy": {"autoUpgrade": False}}},
        ),
        *("declaring", "autoUpgrade is on", "autoUpgrade: false in Git"),
    ),
    "one object a node": (
        lambda w, _: w.made(path("nvidia.com/v1alpha1", "nvidiadrivers", "intruder"), _intruder()),
        *("declaring", "intruder", ""),
    ),
    "the live version": (
        lambda w, _: w.merged(
            DRIVER, {"spec": {"image": "driver@sha256:0a1b"}}, {"spec": {"image": "driver"}}
        ),
        *("declaring", "names a digest", "must move along"),
    ),
    "automatic sync": (
        lambda w, _: w.merged(
            APPLICATION,
            {"spec": {"syncPolicy": {"automated": None}}},
            {"spec": {"syncPolicy": {"automated": {"prune": True, "selfHeal": False}}}},
        ),
        *("delivery", "automatic sync is off", "switch it on"),
    ),
    "Argo CD's attention": (
        lambda w, _: w.merged(
            APPLICATION,
            {"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": "true"}}},
            {"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": None}}},
        ),
        *("delivery", "skip-reconcile", "take the annotation off"),
    ),
    "an open sync window": (
        lambda w, _: w.merged(PROJECT, {"spec": {"syncWindows": [WINDOW]}}, {"spec": {"syncWindows": None}}),
        *("windows", "deny", ""),
    ),
    "the GitOps branch": (lambda w, _: _moved(w.play.stage.repo), "push", "", "gitops.repo"),
}


def line(found: Examination, check: str) -> Line:
    return next(one for one in found.lines if one.check == check)


def test_a_cluster_at_rest_passes_as_the_runner_and_nothing_is_written(ward: Ward) -> None:
    before, written = ward.play.commits(), len(ward.play.writes())
    found = ward.examined()
    assert {one.check: one.findings for one in found.lines if one.verdict is not Verdict.PASS} == {}
    assert {one.name for one in checks.CHECKS} <= {one.check for one in found.lines}
    assert ward.play.commits() == before
    assert ward.play.writes()[written:] == []


@pytest.mark.parametrize("thing", TAKEN)
def test_each_thing_that_is_taken_away_is_found_and_a_run_refuses_for_the_same_reason(
    thing: str, ward: Ward, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taking, check, what, fix = TAKEN[thing]
    with taking(ward, monkeypatch):
        found, done = ward.examined(), None
        if check != "push":  # without its repository a run does not even plan
            done = ward.refused(tmp_path)
    one = line(found, check)
    assert one.verdict is not Verdict.PASS
    (named, *_) = [f for f in one.findings if what in str(f)]
    assert fix in named.hint
    assert found.verdict is not Verdict.PASS
    if done is not None:
        assert done.status is not Status.OK
        told = (*done.detail.findings, done.detail.why)
        assert any(what in text and fix in text + done.detail.hint for text in told)


def test_the_matrix_and_the_kubeconfig_are_lines_too(ward: Ward, tmp_path: Path) -> None:
    wrong = tmp_path / "kubeconfig"
    wrong.write_text(ward.kubeconfig.read_text().replace("token: ", "token: x"))
    stray = ward.play.stage.matrix / "releases" / "r580.yaml"
    text = stray.read_text()
    stray.write_text(text + "# a note\n")
    found = ward.examined(replace(ward.settings, kubeconfig=wrong))
    stray.write_text(text)
    assert [f.what for f in line(found, "matrix").findings] == ["the matrix has uncommitted changes"]
    assert "log in again" in line(found, "kubeconfig").findings[0].hint
    assert line(found, "rights").verdict is Verdict.INCONCLUSIVE


def test_the_published_schema_holds_what_is_printed(ward: Ward) -> None:
    schema = published.schema("doctor")
    with ward.gone(ACCOUNT):
        found = ward.examined()
    Draft202012Validator(schema).validate(doctor_json(found))
    lines = doctor_text(found, 80).splitlines()
    wide = [text for text in lines if len(text) > 80]
    assert [text for text in wide if len(max(text.split(), key=len)) < 50] == [], "a long path stays whole"
    assert any(text.startswith("FAIL") for text in lines)


def test_it_is_on_the_command_line(ward: Ward) -> None:
    # what the tests before put back is at rest again first: Argo CD and the operator take their time on a busy machine
    awaited(lambda: True if ward.examined().verdict is Verdict.PASS else None, "the cluster is at rest again")
    ended = ward.play.knowngood("doctor", CLUSTER, "--to", "r595", "--output", "json")
    assert (ended.code, ended.result["verdict"], ended.result["to"]) == (0, "pass", "r595")

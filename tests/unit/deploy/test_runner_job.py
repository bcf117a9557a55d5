"""A run as a Job: a pinned image, credentials by reference, admitted by the strictest level, off the nodes it moves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.deploy.scc import refusals as constrained
from tests.unit.engine.scene import a_cluster, a_plan

from knowngood.matrix.manifest import manifest
from knowngood.model.mover import MoverSpec
from knowngood.model.plan import Move, Plan, PlannedRing
from knowngood.planner.runner_job import (
    RUN_ID,
    called,
    filled,
    moved,
    moves_all,
    plan_object,
    refusals,
)
from knowngood.twin.api.pod_security import violations

Object = dict[str, Any]
FILE = Path(__file__).parents[3] / "deploy" / "runner" / "job.yaml"
RUN, NODES = "r20260822-030000-cccc", ("gpu-1", "gpu-2")
WORDS = ["upgrade", "ams-prod", "--plan", "/knowngood/plan/plan.json", "--yes"]
RESTRICTED = {
    "metadata": {"name": "restricted-v2"},
    "users": ["system:serviceaccount:knowngood:knowngood-runner"],
    "allowPrivilegeEscalation": False,
    "requiredDropCapabilities": ["ALL"],
    "allowedCapabilities": ["NET_BIND_SERVICE"],
    "seLinuxContext": {"type": "MustRunAs"},
    "runAsUser": {"type": "MustRunAsRange"},
    "seccompProfiles": ["runtime/default"],
    "volumes": [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ],
}
"""As OpenShift ships it (openshift/cluster-kube-apiserver-operator), for the fields that are used here."""


def made() -> Object:
    return filled(manifest(FILE), RUN, WORDS, NODES)


def spec() -> Object:
    found: Object = made()["spec"]["template"]["spec"]
    return found


def test_the_shipped_manifest_is_one_that_a_run_can_be_made_of() -> None:
    assert list(refusals(manifest(FILE))) == []


def test_it_is_admitted_by_the_strictest_level_and_needs_no_constraints_of_its_own() -> None:
    assert violations("restricted", spec()) == []
    user = "system:serviceaccount:knowngood:knowngood-runner"
    assert constrained(RESTRICTED, spec(), user) == []
    worse = copy.deepcopy(spec())
    worse["containers"][0]["securityContext"]["privileged"] = True
    assert violations("restricted", worse)


def test_it_stays_off_the_nodes_that_it_moves_whatever_the_team_asks_besides() -> None:
    (term,) = spec()["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    away = [(one["key"], one["operator"], one["values"]) for one in term["matchFields"]]
    assert away == [("metadata.name", "NotIn", [node]) for node in NODES], "a NotIn by name takes one value"
    own = manifest(FILE)
    terms = [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"matchFields": []}]
    required = {"nodeSelectorTerms": terms}
    own["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
    }
    pod = filled(own, RUN, WORDS, NODES)["spec"]["template"]["spec"]
    found = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert [len(term["matchFields"]) for term in found] == [2, 2], (
        "any of the terms is enough, so each says it"
    )


def test_it_goes_by_the_plan_that_was_shown_under_the_name_by_which_it_is_followed() -> None:
    job = made()
    (container,) = spec()["containers"]
    assert container["args"] == WORDS
    assert {"name": RUN_ID, "value": RUN} in container["env"]
    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == (called(RUN), "knowngood")
    assert job["spec"]["backoffLimit"] == 0, "a pod that ends by itself is not made anew"
    kept = plan_object(RUN, "{}", {"name": called(RUN), "uid": "u"})
    assert kept["metadata"]["ownerReferences"][0]["uid"] == "u", "it goes with its Job"
    assert {"name": "knowngood-plan", "configMap": {"name": called(RUN)}} in spec()["volumes"]
    assert manifest(FILE) == manifest(FILE)


def test_only_a_pod_that_was_evicted_is_made_anew_and_only_once_it_has_ended() -> None:
    spec = made()["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert spec["podReplacementPolicy"] == "Failed", "two runners would wait for each other's Lease"


def a_run_of(kind: str) -> Plan:
    """It moves one component of this class, on a node that has no GPUs."""
    move = Move("thing", "1", "2")
    ring = PlannedRing("ring-0", (("cpu-1",),), (), (move,))
    hop = replace(a_plan().hops[0], moves=(move,), rings=(ring,))
    return replace(a_plan(), hops=(hop,), movers={"thing": MoverSpec(kind)})


def test_it_stays_off_every_node_of_a_ring_also_off_one_without_gpus() -> None:
    cluster = a_cluster()
    assert moved(a_run_of("machine-config"), cluster) == tuple(sorted((*cluster.gpu, "cpu-1")))
    assert moved(replace(a_plan(), hops=()), cluster) == tuple(sorted(cluster.gpu))


@pytest.mark.parametrize(
    ("kind", "every"), [("cluster-version", True), ("machine-config", False), ("olm-v0", False)]
)
def test_a_release_of_the_platform_moves_all_nodes(kind: str, every: bool) -> None:
    assert moves_all(a_run_of(kind)) is every


def image(text: str) -> Callable[[Object], None]:
    return lambda pod: pod["initContainers"][0].update(image=text)


WORSE: dict[str, tuple[Callable[[Object], None], str]] = {
    "an image by its tag": (image("mirror.example.com/tools/knowngood:latest"), "not pinned by its digest"),
    "no image": (image(""), "not pinned by its digest"),
    "a credential as a value": (
        lambda pod: pod["containers"][0]["env"].append({"name": "GIT_TOKEN", "value": "ghp_x"}),
        "GIT_TOKEN stands there as a value",
    ),
    "two containers": (lambda pod: pod["containers"].append(pod["containers"][0]), "has 2 containers"),
    "a pod that starts again": (lambda pod: pod.update(restartPolicy="OnFailure"), "restartPolicy"),
    "nobody's rights": (lambda pod: pod.pop("serviceAccountName"), "serviceAccountName"),
    "a node of its own": (lambda pod: pod.update(nodeName="gpu-1"), "nodeName"),
}


@pytest.mark.parametrize("case", WORSE)
def test_what_must_not_be_is_refused_and_no_credential_is_repeated(case: str) -> None:
    change, why = WORSE[case]
    job = manifest(FILE)
    change(job["spec"]["template"]["spec"])
    told = "; ".join(refusals(job))
    assert why in told
    assert "ghp_x" not in told


def test_what_is_no_job_is_refused() -> None:
    assert list(refusals({"apiVersion": "v1", "kind": "Pod"})) == ["it is no Job of batch/v1"]

"""A run as a Job: a pinned image, credentials by reference, admitted by the strictest level, off the nodes it moves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.deploy.scc import refusals as constrained

from knowngood.matrix.manifest import manifest
from knowngood.planner.runner_job import RUN_ID, called, filled, plan_object, refusals
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
    assert job["spec"]["backoffLimit"] == 0, "another pod would begin anew; resume takes it over"
    kept = plan_object(RUN, "{}", {"name": called(RUN), "uid": "u"})
    assert kept["metadata"]["ownerReferences"][0]["uid"] == "u", "it goes with its Job"
    assert {"name": "knowngood-plan", "configMap": {"name": called(RUN)}} in spec()["volumes"]
    assert manifest(FILE) == manifest(FILE)


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

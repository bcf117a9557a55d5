"""deploy/admission: the policies' expressions, evaluated on the pods and Jobs that we make and on worse ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.adapters.judging.ordering import order

from knowngood.adapters.judging.probe_manifest import manifest

from .test_probe_is_admitted import ORDERS, Object, only

celpy = pytest.importorskip("celpy", reason="cel-python is not installed: the policies are not evaluated")
RUNNER = "system:serviceaccount:knowngood:knowngood-runner"
CONTROLLER = "system:serviceaccount:kube-system:job-controller"


def told(
    policy: str,
    obj: Object,
    user: str,
    groups: tuple[str, ...] = (),
    operation: str = "CREATE",
    resource: str = "",
    before: Object | None = None,
) -> list[str]:
    """The messages of the validations that do not hold; one that can not be evaluated raises.

    `resource`: what is written, if not what the policy is called after; the policy must be asked about it.
    """
    spec = only("admission", "ValidatingAdmissionPolicy", policy)["spec"]
    assert spec["failurePolicy"] == "Fail"
    asked = resource or policy.removeprefix("knowngood-")
    rules = spec["matchConstraints"]["resourceRules"]
    assert any(asked in r["resources"] and operation in r["operations"] for r in rules), (
        f"nobody asks of {asked}"
    )
    request = {"operation": operation, "userInfo": {"username": user, "groups": list(groups)}}
    known = {"object": celpy.json_to_cel(obj), "request": celpy.json_to_cel(request)}
    known["oldObject"] = celpy.json_to_cel(before)
    variables = celpy.celtypes.MapType()
    for variable in spec.get("variables", ()):
        value = evaluated(variable["expression"], {**known, "variables": variables})
        variables[celpy.celtypes.StringType(variable["name"])] = value
    known["variables"] = variables
    return [v["message"] for v in spec["validations"] if not evaluated(v["expression"], known)]


def evaluated(expression: str, known: dict[str, Any]) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression)).evaluate(known)


def pod(case: str = "computes") -> Object:
    template = manifest(order(**ORDERS[case]), "gpu-1")["spec"]["template"]
    return {"metadata": copy.deepcopy(template["metadata"]), "spec": copy.deepcopy(template["spec"])}


@pytest.mark.parametrize("case", ORDERS)
def test_a_probes_pod_is_admitted_when_its_job_makes_it(case: str) -> None:
    assert told("knowngood-pods", pod(case), CONTROLLER) == []


def test_anybody_elses_probe_is_not() -> None:
    assert told("knowngood-pods", pod(), "alice") == [
        "a probe's pod is made by its Job, and stays as it was made"
    ]


def updated(now: Object, resource: str = "pods", user: str = "alice") -> list[str]:
    return told("knowngood-pods", now, user, operation="UPDATE", resource=resource, before=pod())


def test_nobody_changes_the_image_of_a_probes_pod_or_adds_a_container() -> None:
    """Both are what may be changed of a pod that is there, and either would run with the host's folders."""
    other, more = pod(), pod()
    other["spec"]["containers"][0]["image"] = "registry.example.com/mine:1"
    more["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "registry.example.com/mine:1"}]
    for user in ("alice", CONTROLLER):
        assert updated(other, user=user) == ["a probe's pod is made by its Job, and stays as it was made"]
        late = updated(more, "pods/ephemeralcontainers", user)
        assert late == ["a probe's pod is made by its Job, and stays as it was made"]


def test_the_job_controller_may_take_its_finalizer_off_a_probes_pod() -> None:
    """Else no Job of ours would ever be over."""
    kept = pod()
    kept["metadata"]["finalizers"] = []
    assert updated(kept, user=CONTROLLER) == []


def more(**fields: Any) -> Callable[[Object], None]:
    return lambda spec: spec.update(fields)


def host(path: str) -> Callable[[Object], None]:
    return lambda spec: spec["volumes"].append({"name": "more", "hostPath": {"path": path}})


def context(**fields: Any) -> Callable[[Object], None]:
    return lambda spec: spec["containers"][0]["securityContext"].update(fields)


def writable(spec: Object) -> None:
    spec["containers"][0]["volumeMounts"][-1]["readOnly"] = False


def beside(spec: Object) -> None:
    spec["initContainers"] = [{"name": "x", "securityContext": {"privileged": True}}]


WORSE: dict[str, tuple[Callable[[Object], None], str]] = {
    "the whole host": (host("/"), "and nothing else"),
    "the kubelet's folder": (host("/var/lib/kubelet"), "and nothing else"),
    "a path out of one of ours": (host("/proc/../etc"), "and nothing else"),
    "a folder to write to": (writable, "read-only"),
    "another account": (more(serviceAccountName="default"), "only a probe's pod"),
    "the host's network": (more(hostNetwork=True), "no namespace|shares a namespace"),
    "the host's processes": (more(hostPID=True), "shares a namespace"),
    "privileged": (context(privileged=True), "privileged"),
    "privileged before": (beside, "privileged"),
    "a capability": (context(capabilities={"add": ["SYS_ADMIN"]}), "capability"),
}


@pytest.mark.parametrize("what", WORSE)
def test_a_pod_that_asks_for_more_is_refused(what: str) -> None:
    change, words = WORSE[what]
    worse = pod()
    change(worse["spec"])
    assert any(
        word in message for message in told("knowngood-pods", worse, CONTROLLER) for word in words.split("|")
    )


def test_other_pods_of_the_namespace_are_left_alone() -> None:
    plain = {"metadata": {}, "spec": {"containers": [{"name": "runner", "image": "x"}]}}
    assert told("knowngood-pods", plain, "alice") == []


@pytest.mark.parametrize(
    ("user", "groups", "admitted"),
    [
        (RUNNER, (), True),
        ("system:serviceaccount:knowngood:knowngood-reader", (), True),
        ("alice", ("knowngood-operators",), True),
        ("alice", ("system:authenticated",), False),
        ("system:serviceaccount:vision:default", (), False),
        ("system:serviceaccount:knowngood:knowngood-probe", (), False),
    ],
)
def test_jobs_are_made_by_knowngood_and_its_operators(
    user: str, groups: tuple[str, ...], admitted: bool
) -> None:
    job = manifest(order(), "gpu-1")
    assert (told("knowngood-jobs", job, user, groups) == []) is admitted


@pytest.mark.parametrize("policy", ["knowngood-jobs", "knowngood-pods"])
def test_each_policy_is_bound_to_our_namespace_and_denies(policy: str) -> None:
    binding = only("admission", "ValidatingAdmissionPolicyBinding", policy)["spec"]
    assert (binding["policyName"], binding["validationActions"]) == (policy, ["Deny"])
    labels = binding["matchResources"]["namespaceSelector"]["matchLabels"]
    assert labels == {"kubernetes.io/metadata.name": only("base", "Namespace")["metadata"]["name"]}

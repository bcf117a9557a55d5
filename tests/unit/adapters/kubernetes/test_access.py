"""Rights are asked before a run begins; each one that is missing, or not told, ends it before its first commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import RINGS, a_cluster, a_world, an_engine, field_of

from knowngood.adapters.cluster.readiness import KubeReadiness
from knowngood.adapters.kubernetes import access
from knowngood.adapters.kubernetes.client import refuse
from knowngood.model.errors import ExitCode, Unreachable
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application
from knowngood.model.matrix import Cluster, Declaration
from knowngood.model.mover import MoverSpec, Pods
from knowngood.model.verdict import Verdict
from knowngood.planner.readiness.rights import Right, needed

BASE = Path(__file__).parents[4] / "deploy" / "base"
MOVED = [Right("get", "nvidia.com", "nvidiadrivers", "", ring) for ring in RINGS]


def cluster() -> Cluster:
    scene = a_cluster()
    applications = (Application("gpu", "openshift-gitops", "gpu"),)
    return replace(scene, gitops=replace(scene.gitops, applications=applications))


ALL = (*needed(cluster()), *MOVED)


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube._kinds[("nvidia.com/v1alpha1", "NVIDIADriver")] = ("nvidiadrivers", False)
    return kube


def is_about(attributes: Mapping[str, str], right: Right) -> bool:
    """Whether a review asks for that right, or for it in one namespace."""
    resource, _, subresource = right.resource.partition("/")
    wanted = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource}
    wanted |= {"name": right.name} | ({"namespace": right.namespace} if right.namespace else {})
    return all(attributes.get(key, "") == value for key, value in wanted.items())


def test_every_right_is_asked_for_once_and_none_is_missing_where_all_are_had(kube: FakeKube) -> None:
    asked: list[Mapping[str, str]] = []

    def review(attributes: Mapping[str, str]) -> dict[str, Any]:
        asked.append(attributes)
        return {"allowed": True}

    kube.review = review
    assert KubeReadiness(kube, cluster()).rights([field_of(ring) for ring in RINGS]) == []
    assert len(asked) == len(ALL)
    assert all(any(is_about(attributes, right) for attributes in asked) for right in ALL)


@pytest.mark.parametrize("right", ALL, ids=str)
def test_a_run_that_lacks_one_right_ends_before_its_first_commit(kube: FakeKube, right: Right) -> None:
    kube.review = lambda attributes: {"allowed": not is_about(attributes, right)}
    world = a_world()
    engine = an_engine(world)
    engine.ports = replace(ports(world), readiness=KubeReadiness(kube, cluster()))
    end = engine.run().end
    assert end is not None
    assert (end.name, end.exit_code) == ("refused", ExitCode.REFUSED)
    assert f"no right to {right.verb} {right.resource}" in end.why
    assert "deploy/" in end.why
    assert [c.sha for c in world.commits] == ["c0"]
    assert not any(node.claim or node.cordoned for node in world.nodes.values())


EVICT = next(right for right in ALL if right.resource == "pods/eviction")


def test_evictions_in_every_namespace_of_a_tenant_are_enough(kube: FakeKube) -> None:
    kube.review = lambda attributes: {"allowed": "namespace" in attributes}
    assert access.missing(kube, [EVICT]) == []


def test_a_tenants_namespace_in_which_nothing_may_be_evicted_is_named(kube: FakeKube) -> None:
    kube.review = lambda attributes: {"allowed": attributes.get("namespace") == "other"}
    (found,) = access.missing(kube, [replace(EVICT, instead=("other", "vision"))])
    assert "create pods/eviction in vision" in found.where


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ({"allowed": False}, Verdict.FAIL),
        ({"allowed": False, "denied": True, "evaluationError": "a webhook is away"}, Verdict.FAIL),
        ({"allowed": False, "evaluationError": "a webhook is away"}, Verdict.INCONCLUSIVE),
        ({}, Verdict.INCONCLUSIVE),
        ({"allowed": None}, Verdict.INCONCLUSIVE),
        ({"allowed": "true"}, Verdict.INCONCLUSIVE),
    ],
)
def test_only_a_plain_yes_is_a_yes_and_only_a_plain_no_a_no(
    kube: FakeKube, status: dict[str, Any], verdict: Verdict
) -> None:
    kube.review = lambda _attributes: status
    (found,) = access.missing(kube, [EVICT])
    assert found.verdict is verdict


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_review_that_is_refused_itself_is_no_answer(kube: FakeKube, code: int) -> None:
    def no(method: str, where: str) -> None:
        if where == access.REVIEWS:
            refuse(code, b"{}", f"{method} {where}")

    kube.before.append(no)
    (found,) = access.missing(kube, [EVICT])
    assert found.verdict is Verdict.INCONCLUSIVE


def test_an_api_server_that_is_away_is_no_finding(kube: FakeKube) -> None:
    def away(method: str, where: str) -> None:
        raise Unreachable("no answer")

    kube.before.append(away)
    with pytest.raises(Unreachable):
        access.missing(kube, [EVICT])


def granted() -> set[tuple[str, str, str, str]]:
    """What deploy/ grants the runner: namespace ("" is all), group, resource, verb."""
    found = [o for path in sorted(BASE.glob("*.yaml")) for o in yaml.safe_load_all(path.read_text()) if o]
    roles = {
        (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o["rules"]
        for o in found
        if o["kind"] in {"Role", "ClusterRole"}
    }
    rights = set()
    for binding in (o for o in found if any(s["name"] == "knowngood-runner" for s in o.get("subjects", ()))):
        where = binding["metadata"].get("namespace", "")
        for rule in roles[binding["roleRef"]["kind"], where, binding["roleRef"]["name"]]:
            rights |= {
                (where, group, resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return rights


def test_deploy_grants_every_right_of_a_run() -> None:
    rights = granted()
    lacking = [
        str(right)
        for right in ALL
        if not {(right.namespace, right.group, right.resource, right.verb)} & rights
        and not {("", right.group, resource, right.verb) for resource in (right.resource, "*")} & rights
    ]
    assert lacking == []


EXPLAINED: dict[tuple[str, str, str, str], str] = {
    ("", "nvidia.com", "*", "get"): "whatever kind a cluster file declares",
    ("", "nvidia.com", "*", "list"): "the same",
    ("", "mellanox.com", "*", "get"): "the same",
    ("", "mellanox.com", "*", "list"): "the same",
}
"""What deploy/ grants beyond the table, and why."""


def test_deploy_grants_nothing_that_no_run_needs() -> None:
    table = {(right.group, right.resource, right.verb) for right in ALL}
    surplus = {right for right in granted() if right[1:] not in table}
    assert surplus == EXPLAINED.keys()


def test_rights_are_needed_where_the_pods_of_what_is_declared_are() -> None:
    declared = Declaration("nic-driver", "nic.yaml", "spec.version", ObjectRef("v1", "NicPolicy", "one"))
    at = replace(cluster(), namespaces={"nic-operator": "nics"}, declarations=(declared,))
    pods = Pods("nic=", "nic-ctr", "nic-operator")
    specs = {
        at.declarations[0].component: MoverSpec(pods=pods),
        "another": MoverSpec(pods=Pods("a=", "b", "c")),
    }
    places = {right.namespace for right in needed(at, specs) if right.resource == "pods/exec"}
    assert places == {at.operator_namespace, "nics"}

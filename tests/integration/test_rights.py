"""deploy/ grants what a run does, no more is needed, and without one of its rights a run does nothing at all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.integration.bound import ROOT, RUNNER, bind, objects
from tests.integration.play import Ended, Play, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.matrix.load import load
from knowngood.planner.readiness.rights import needed

ROLES = ("Role", "ClusterRole")
VERBS = {"evict": ("create", "/eviction")}  # the audit log's word, and what RBAC calls it

Rights = set[tuple[str, str, str, str]]
"""Namespace ("" is all), API group, resource, verb."""


def granted(account: str) -> Rights:
    """Everything that the roles bound to a service account allow."""
    found = objects()
    roles = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one["rules"]
        for one in found
        if one["kind"] in ROLES
    }
    rights: Rights = set()
    for binding in found:
        if any(subject["name"] == account for subject in binding.get("subjects", ())):
            where = binding["metadata"].get("namespace", "")
            for rule in roles[binding["roleRef"]["kind"], where, binding["roleRef"]["name"]]:
                rights |= set(spread(where, rule))
    return rights


def spread(where: str, rule: dict[str, list[str]]) -> Iterator[tuple[str, str, str, str]]:
    """One right a group, resource and verb."""
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            yield from ((where, group, resource, verb) for verb in rule["verbs"])


def right(write: dict[str, str]) -> tuple[str, str, str, str]:
    """What a recorded write needs."""
    group = write["apiVersion"].rpartition("/")[0]
    verb, subresource = VERBS.get(write["verb"], (write["verb"], ""))
    return write["namespace"], group, write["kind"].lower() + "s" + subresource, verb


@dataclass(frozen=True)
class Bound:
    """A stage on which deploy/base is applied, and a kubeconfig of its runner's ServiceAccount."""

    play: Play
    admin: Kube
    kubeconfig: Path

    def upgrade(self, to: str) -> Ended:
        """Move the cluster as the ServiceAccount."""
        where = ("--kubeconfig", str(self.kubeconfig))
        return self.play.knowngood(*where, "upgrade", "lab-small", "--to", to, "--yes", "--output", "json")

    @contextmanager
    def without(self, kind: str, namespace: str, resource: str, verb: str) -> Iterator[None]:
        """Take one right away from the runner's role, and give it back."""
        place = path("rbac.authorization.k8s.io/v1", kind, RUNNER, namespace)
        role = self.admin.get(place)
        rules = [
            {**rule, "verbs": [v for v in rule["verbs"] if rule["resources"] != [resource] or v != verb]}
            for rule in role["rules"]
        ]
        assert rules != role["rules"]
        self.admin.merge(place, {"rules": rules})
        yield
        self.admin.merge(place, {"rules": role["rules"]})


@pytest.fixture(scope="module", name="bound")
def _bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    with staged(tmp_path_factory.mktemp("rights") / "stage", "lab-small") as play:
        admin = Kube(play.stage.kubeconfig)
        kubeconfig = bind(play.stage.kubeconfig, play.stage.folder)
        yield Bound(play, admin, kubeconfig)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "namespace", "resource", "verb"),
    [
        ("clusterroles", "", "nodes", "patch"),
        ("clusterroles", "", "pods/eviction", "create"),
        ("roles", "nvidia-gpu-operator", "pods", "delete"),
    ],
)
def test_a_runner_without_a_right_refuses_before_its_first_commit(
    bound: Bound, kind: str, namespace: str, resource: str, verb: str
) -> None:
    before, written = bound.play.commits(), len(bound.play.writes())
    with bound.without(kind, namespace, resource, verb):
        ended = bound.upgrade("r595")
    assert ended.code == 1, explained(ended)
    assert f"no right to {verb} {resource}" in ended.result["why"]
    assert bound.play.commits() == before
    assert {write["kind"] for write in bound.play.writes()[written:]} <= {"Lease", "ConfigMap", *ROLES}


@pytest.mark.slow
def test_the_runner_gets_through_a_whole_run_with_what_deploy_grants_it(bound: Bound) -> None:
    """The twin enforces RBAC for service accounts: a read or a write too many would end it with a 403."""
    already = len(bound.play.writes())
    ended = bound.upgrade("r595")
    assert ended.code == 0, explained(ended)
    needed_now = {right(write) for write in bound.play.writes()[already:]}
    kinds = {resource for _, _, resource, _ in needed_now}
    assert {"nodes", "pods/eviction", "pods", "jobs", "leases", "configmaps", "applications"} <= kinds
    matrix = load(bound.play.stage.matrix)
    table = {(r.group, r.resource, r.verb) for r in needed(matrix.clusters["lab-small"])}
    many = {(group, resource, "delete") for group, resource, verb in table if verb == "deletecollection"}
    assert {n[1:] for n in needed_now} <= table | many, "deleted with many, each is recorded as deleted"


def test_the_reader_writes_nothing_but_probe_jobs() -> None:
    reading = {"get", "list"}
    writes = {
        (where, resource, verb)
        for where, _, resource, verb in granted("knowngood-reader")
        if verb not in reading
    }
    assert writes == {
        ("knowngood", "jobs", "create"),
        ("knowngood", "jobs", "deletecollection"),
        ("knowngood", "networkpolicies", "create"),
        ("knowngood", "networkpolicies", "delete"),
        ("knowngood", "services", "create"),
        ("knowngood", "services", "delete"),
        ("nvidia-gpu-operator", "pods/exec", "create"),
    }


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here: deploy/ is not rendered")
@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        ("base", {"Namespace", "ClusterRole"}),
        ("openshift", {"Namespace", "ClusterRole", "SecurityContextConstraints"}),
        ("olm", {"RoleBinding", "ClusterRole"}),
        ("admission", {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}),
    ],
)
def test_the_folder_can_be_rendered(folder: str, kinds: set[str]) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "deploy" / folder)], check=True, capture_output=True, text=True
    )
    assert kinds <= {one["kind"] for one in yaml.safe_load_all(done.stdout)}

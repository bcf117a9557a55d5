"""deploy/ admits a probe's pod and nothing that asks for more; each thing that it grants is needed by one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.adapters.judging.ordering import order

from knowngood.adapters.judging.probe_manifest import manifest
from knowngood.model.probe_pod import PodNeeds, PodSite, PodStorage
from knowngood.twin.api.pod_security import ENFORCE, violations

from .scc import refusals

DEPLOY = Path(__file__).parents[3] / "deploy"
Object = dict[str, Any]
RDMA = PodNeeds(rdma={"openshift.io/mlx5": 2}, networks=("rails/one",))
ORDERS: dict[str, Object] = {
    "reads only": {"gpus": 0},
    "computes": {"gpus": 8},
    "MIG": {"gpus": 8, "needs": PodNeeds(resources={"nvidia.com/mig-1g.18gb": 7})},
    "RDMA": {"gpus": 8, "needs": RDMA},
    "DRA": {"gpus": 8, "needs": PodNeeds(claims=("all-gpus",))},
    "a driver of the host": {"gpus": 8, "site": PodSite(driver_root="/")},
    "meets others": {"gpus": 8, "needs": RDMA, "together": True},
    "tenants' storage": {"gpus": 8, "storage": PodStorage("powerscale", 10)},
    "a site": {"gpus": 8, "site": PodSite(pull_secrets=("mirror",), scheduler="kai", priority_class="low")},
}


def documents(folder: str) -> Iterator[Object]:
    for path in sorted((DEPLOY / folder).glob("*.yaml")):
        yield from filter(None, yaml.safe_load_all(path.read_text()))


def only(folder: str, kind: str, name: str = "") -> Object:
    (found,) = [d for d in documents(folder) if d["kind"] == kind and name in ("", d["metadata"]["name"])]
    return found


def spec_of(case: str) -> Object:
    spec: Object = manifest(order(**ORDERS[case]), "gpu-1")["spec"]["template"]["spec"]
    return spec


def user_of(spec: Object) -> str:
    account = only("base", "ServiceAccount", spec["serviceAccountName"])
    return f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"


@pytest.mark.parametrize("case", ORDERS)
def test_a_probes_pod_is_admitted(case: str) -> None:
    spec = spec_of(case)
    level = only("base", "Namespace")["metadata"]["labels"][ENFORCE]
    assert violations(level, spec) == []
    assert refusals(only("openshift", "SecurityContextConstraints"), spec, user_of(spec)) == []


def test_no_lower_pod_security_level_would_do() -> None:
    """Folders of the host are forbidden by all of them."""
    assert any("hostPath" in found for found in violations("baseline", spec_of("reads only")))


def changed(**context: Any) -> Callable[[Object], None]:
    def change(spec: Object) -> None:
        spec["containers"][0]["securityContext"].update(context)

    return change


def volume(**source: Any) -> Callable[[Object], None]:
    return lambda spec: spec["volumes"].append({"name": "more", **source})


MORE: dict[str, tuple[Callable[[Object], None], str]] = {
    "privileged": (changed(privileged=True), "privileged"),
    "another capability": (changed(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "SYS_ADMIN"),
    "kept capabilities": (changed(capabilities={"drop": ["NET_RAW"]}), "capabilities.drop"),
    "a writable root": (changed(readOnlyRootFilesystem=False), "readOnlyRootFilesystem"),
    "escalation": (changed(allowPrivilegeEscalation=True), "allowPrivilegeEscalation"),
    "another SELinux type": (
        changed(seLinuxOptions={"type": "unconfined_t", "level": "s0"}),
        "seLinuxOptions.type",
    ),
    "the namespace's SELinux level": (changed(seLinuxOptions={"type": "spc_t"}), "seLinuxOptions.level"),
    "no seccomp": (changed(seccompProfile={"type": "Unconfined"}), "seccompProfile"),
    "the host's network": (lambda spec: spec.update(hostNetwork=True), "hostNetwork"),
    "the host's processes": (lambda spec: spec.update(hostPID=True), "hostPID"),
    "a Secret": (volume(secret={"secretName": "x"}), "volumes: secret"),
    "a tenant's volume": (volume(persistentVolumeClaim={"claimName": "x"}), "volumes: persistentVolumeClaim"),
}


@pytest.mark.parametrize("what", MORE)
def test_a_pod_that_asks_for_more_is_not(what: str) -> None:
    change, word = MORE[what]
    spec = copy.deepcopy(spec_of("RDMA"))
    change(spec)
    found = refusals(only("openshift", "SecurityContextConstraints"), spec, user_of(spec))
    assert any(word in refusal for refusal in found)


@pytest.mark.parametrize("account", ["default", "knowngood-runner"])
def test_nobody_elses_pod_is(account: str) -> None:
    user = f"system:serviceaccount:knowngood:{account}"
    assert refusals(only("openshift", "SecurityContextConstraints"), spec_of("computes"), user)


GRANTED: dict[str, Object] = {
    "allowHostDirVolumePlugin": {"allowHostDirVolumePlugin": False},
    "emptyDir": {"volumes": ["hostPath"]},
    "hostPath": {"volumes": ["emptyDir"]},
    "IPC_LOCK": {"allowedCapabilities": []},
    "seccomp": {"seccompProfiles": []},
    "spc_t": {"seLinuxContext": {"type": "MustRunAs"}},
    "root": {"runAsUser": {"type": "MustRunAsNonRoot"}},
}


@pytest.mark.parametrize("what", GRANTED)
def test_what_is_granted_is_needed(what: str) -> None:
    constraints = {**only("openshift", "SecurityContextConstraints"), **GRANTED[what]}
    spec = spec_of("RDMA")
    assert refusals(constraints, spec, user_of(spec))


def test_the_probes_account_has_no_rights_and_no_token() -> None:
    account = only("base", "ServiceAccount", "knowngood-probe")
    assert account["automountServiceAccountToken"] is False
    bound = [
        s["name"]
        for folder in ("base", "olm", "network-operator", "cluster-version", "chart", "operand")
        for d in documents(folder)
        for s in d.get("subjects", ())
    ]
    assert bound
    assert "knowngood-probe" not in bound

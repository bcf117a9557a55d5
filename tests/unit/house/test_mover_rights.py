"""What deploy/ grants is what the movers in use need: their declaring objects are read, their pods restarted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.planner.matrices import cluster

from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.alerts import NONE
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration
from knowngood.model.mover import CLASSES, MoverSpec
from knowngood.model.pulling import Pulling
from knowngood.planner.readiness.rights import needed

DEPLOY = Path(__file__).parents[3] / "deploy"
FOLDERS = (
    "base",
    "olm",
    "network-operator",
    "cluster-version",
    "chart",
    "nic-firmware",
    "operand",
    "redfish",
    "sriov",
    "olm-v1",
)
"""All that deploy/ can grant a runner; operators of OLM and further namespaces have their own folders."""
OPERATOR = "nvidia-gpu-operator"
OF_A_CLASS = {
    "operand": {(kind, "get") for kind in ("daemonsets", "deployments", "statefulsets")},
    "chart": {
        *((kind, "get") for kind in ("applications", "daemonsets", "deployments", "statefulsets")),
        *((kind, "get") for kind in ("customresourcedefinitions", "validatingwebhookconfigurations")),
        ("mutatingwebhookconfigurations", "get"),
        ("endpointslices", "list"),
    },
    "cluster-version": {("clusterversions", "get"), ("clusteroperators", "list")},
    "machine-config": {("machineconfigpools", verb) for verb in ("get", "list", "patch")}
    | {("nodes", "patch")},
    "label": {
        ("nodes", "patch"),
        ("pods/exec", "create"),
        ("configmaps", "get"),
    },
    "daemon-driver": {
        ("pods", "delete"),
        ("pods/exec", "create"),
        ("daemonsets", "list"),
        ("controllerrevisions", "list"),
    },
    "redfish": {("nodes", "list"), ("nodes", "patch"), ("configmaps", "get")},
    "talosctl": {("nodes", "list"), ("nodes", "patch"), ("configmaps", "get")},
    "nic-firmware": {
        ("nicdevices", "list"),
        ("nicfirmwaresources", "get"),
        ("nodemaintenances", "list"),
        ("maintenanceoperatorconfigs", "list"),
        ("pods/exec", "create"),
    },
    "sriov": {
        *((kind, "list") for kind in ("sriovnetworknodestates", "sriovnetworkpoolconfigs")),
        ("sriovnetworknodepolicies", "list"),
        ("pods/exec", "create"),
    },
    "olm-v1": {
        ("clusterextensions", "get"),
        *((kind, "list") for kind in ("clustercatalogs", "deployments", "customresourcedefinitions")),
    },
    "olm-v0": {
        ("installplans", "patch"),
        *(
            (kind, verb)
            for kind in ("subscriptions", "clusterserviceversions")
            for verb in ("list", "delete")
        ),
        *((kind, "list") for kind in ("installplans", "packagemanifests", "deployments")),
        *((kind, "get") for kind in ("subscriptions", "installplans", "customresourcedefinitions")),
    },
}
"""What a class does in the operator's namespace."""


def rules() -> Iterator[tuple[str, str, str]]:
    """(namespace, resource, verb) of each right in deploy/; namespace "" is everywhere."""
    for file in (f for folder in FOLDERS for f in sorted((DEPLOY / folder).glob("*.yaml"))):
        for document in yaml.safe_load_all(file.read_text()):
            if document and document["kind"] in ("Role", "ClusterRole"):
                yield from of_role(document)


def of_role(role: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for rule in role.get("rules") or ():
        for resource in rule["resources"]:
            yield from ((role["metadata"].get("namespace", ""), resource, verb) for verb in rule["verbs"])


def plural(kind: str) -> str:
    return kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"


def movers() -> dict[str, MoverSpec]:
    return dict(load(matrix_dir()).movers)


@pytest.mark.parametrize(
    ("component", "spec"), movers().items(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_mover_in_use_has_its_rights(component: str, spec: MoverSpec) -> None:
    granted = set(rules())
    at = DEFAULT_NAMESPACES.get(spec.pods.operator if spec.pods else "", OPERATOR)
    there = {(resource, verb) for namespace, resource, verb in granted if namespace in ("", at)}
    # What Git names for us to bring is looked up by name; of others' kinds all objects are looked at.
    verbs = ("get",) if spec.on_a_load else ("get", "list")
    declaring = {(plural(kind), verb) for kind in spec.fields for verb in verbs}
    whole_groups = {verb for resource, verb in there if resource == "*"}  # of what operators declare with
    missing = {(kind, verb) for kind, verb in declaring - there if verb not in whole_groups}
    assert not missing | (OF_A_CLASS[spec.kind] - there), component


def test_each_class_says_what_it_needs() -> None:
    assert OF_A_CLASS.keys() == CLASSES


def test_a_cluster_that_declares_operators_asks_for_what_deploy_grants() -> None:
    at = ObjectRef("operators.coreos.com/v1alpha1", "Subscription", "gpu-operator-certified", OPERATOR)
    declared = Declaration("gpu-operator", "subscription.yaml", "spec.startingCSV", at)
    asked = {(r.resource, r.verb) for r in needed(cluster(declared))} - {
        (r.resource, r.verb) for r in needed(cluster())
    }
    assert {(resource, verb) for resource, verb in asked if "subscriptions" in resource}
    assert asked <= {(resource, verb) for _, resource, verb in rules()}
    assert OF_A_CLASS["olm-v0"] <= {(r.resource, r.verb) for r in needed(cluster(declared))}


def test_a_cluster_that_declares_firmware_of_bmcs_asks_for_what_deploy_grants() -> None:
    at = ObjectRef("v1", "ConfigMap", "firmware-{ring}", OPERATOR)
    declares = cluster(Declaration("bios", "firmware-{ring}.yaml", "data.bios", at))
    asked = {
        (r.namespace, r.resource, r.verb) for r in set(needed(declares, movers())) - set(needed(declares))
    }
    (role, _) = yaml.safe_load_all((DEPLOY / "redfish" / "leases.yaml").read_text())
    granted = {*of_role(role)}
    assert {row for row in granted if row[2] != "create"} <= asked <= {*granted, *rules()}


def test_a_cluster_that_declares_its_release_asks_for_what_deploy_grants() -> None:
    at = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")
    declared = Declaration("openshift", "version.yaml", "spec.desiredUpdate.version", at)
    asked = {
        (r.namespace, r.resource, r.verb) for r in set(needed(cluster(declared))) - set(needed(cluster()))
    }
    assert {(resource, verb) for _, resource, verb in asked} > OF_A_CLASS["cluster-version"]
    assert asked <= {*rules()}


def test_a_cluster_that_declares_a_chart_asks_for_what_deploy_grants_and_for_no_less() -> None:
    at = ObjectRef("argoproj.io/v1alpha1", "Application", "kai-scheduler", "argocd")
    declared = Declaration("kai-scheduler", "kai.yaml", "spec.source.targetRevision", at)
    asked = {(r.resource, r.verb) for r in set(needed(cluster(declared))) - set(needed(cluster()))}
    assert asked == OF_A_CLASS["chart"]
    role, _ = yaml.safe_load_all((DEPLOY / "chart" / "reader.yaml").read_text())
    assert {(resource, verb) for _, resource, verb in of_role(role)} == asked - {("applications", "get")}


def test_a_cluster_that_declares_nic_firmware_asks_for_what_deploy_grants() -> None:
    api, space = "configuration.net.nvidia.com/v1alpha1", "nvidia-network-operator"
    at = ObjectRef(api, "NicFirmwareTemplate", "{ring}", space)
    declared = Declaration("nic-firmware", "nic-{ring}.yaml", "spec.template.nicFirmwareSourceRef", at)
    asked = {
        (r.namespace, r.resource, r.verb) for r in set(needed(cluster(declared))) - set(needed(cluster()))
    }
    assert (space, "nicfirmwaresources", "get") in asked
    assert asked <= {*rules()}


def test_a_cluster_that_declares_an_extension_asks_for_what_deploy_grants() -> None:
    at = ObjectRef("olm.operatorframework.io/v1", "ClusterExtension", "kueue-operator")
    declared = Declaration("kueue", "kueue.yaml", "spec.source.catalog.version", at)
    asked = {(r.namespace, r.resource, r.verb) for r in {*needed(cluster(declared))} - {*needed(cluster())}}
    assert {(resource, verb) for _, resource, verb in asked} == {
        *OF_A_CLASS["olm-v1"],
        ("services/proxy", "get"),
    }
    assert asked <= {*rules()}


def test_a_cluster_that_declares_functions_asks_for_what_deploy_grants() -> None:
    at = ObjectRef("sriovnetwork.openshift.io/v1", "SriovNetworkNodePolicy", "{ring}", "sriov")
    declared = Declaration("sriov-vfs", "sriov-{ring}.yaml", "spec.numVfs", at)
    asked = {(r.namespace, r.resource, r.verb) for r in {*needed(cluster(declared))} - {*needed(cluster())}}
    assert asked == {("", f"sriovnetwork{kind}", "list") for kind in ("nodepolicies", "poolconfigs")}
    assert asked <= {*rules()}


@pytest.mark.parametrize(
    ("component", "at", "space"),
    [
        ("dcgm-exporter", ObjectRef("nvidia.com/v1", "ClusterPolicy", "p"), OPERATOR),
        (
            "nic-configuration-operator",
            ObjectRef("mellanox.com/v1alpha1", "NicClusterPolicy", "p"),
            "nvidia-network-operator",
        ),
        (
            "powerscale-csi",
            ObjectRef("storage.dell.com/v1", "ContainerStorageModule", "isilon", "isilon"),
            "isilon",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_an_operand_is_asked_of_where_its_workloads_are(component: str, at: ObjectRef, space: str) -> None:
    declared = Declaration(component, "x.yaml", "spec", at)
    bare = replace(cluster(declared), namespaces=DEFAULT_NAMESPACES)
    asked = set(needed(bare, movers())) - set(needed(bare))
    assert {right.namespace for right in asked if right.group == "apps"} == {space}
    assert {(right.resource, right.verb) for right in asked} <= {(kind, verb) for _, kind, verb in rules()}
    assert any(right.resource == "containerstoragemodules" for right in asked) is bool(at.namespace)


def test_of_a_release_no_more_is_granted_than_is_asked() -> None:
    at = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")
    declared = Declaration("openshift", "version.yaml", "spec.desiredUpdate.version", at)
    role, *_ = yaml.safe_load_all((DEPLOY / "cluster-version" / "reader.yaml").read_text())
    granted = {
        (resource, name, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }
    wanted = [right for right in needed(cluster(declared)) if right.group == "config.openshift.io"]
    assert granted == {(right.resource, right.name, right.verb) for right in wanted}


def test_a_cluster_that_names_a_registry_asks_for_what_deploy_grants() -> None:
    vanilla = load(matrix_dir()).clusters["vanilla"]
    named = replace(vanilla, registry=Pulling())
    asked = {(r.namespace, r.resource, r.name, r.verb) for r in set(needed(named)) - set(needed(vanilla))}
    roles = [d for d in yaml.safe_load_all((DEPLOY / "registry" / "reader.yaml").read_text()) if "rules" in d]
    granted = {
        (role["metadata"].get("namespace", ""), resource, name, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or [""]
        for verb in rule["verbs"]
    }
    assert asked == granted


def test_a_cluster_that_names_an_alertmanager_asks_for_what_deploy_grants() -> None:
    vanilla = load(matrix_dir()).clusters["vanilla"]
    bare = set(needed(replace(vanilla, alertmanager=NONE)))
    asked = {(r.namespace, r.resource, r.name, r.verb) for r in set(needed(vanilla)) - bare}
    role, _ = yaml.safe_load_all((DEPLOY / "alertmanager" / "silences.yaml").read_text())
    (rule,) = role["rules"]
    space, (name,) = role["metadata"]["namespace"], rule["resourceNames"]
    assert asked == {(space, "services/proxy", name, verb) for verb in rule["verbs"]}

"""What a cluster does not show is asked of a human and never guessed; what several things say otherwise is, too."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Identity
from knowngood.model.values import Object
from knowngood.planner.discover import traits
from knowngood.planner.discover.seen import File, Machine, Seen, Told
from knowngood.planner.discover.telling import tell

MATRIX = load(matrix_dir())
PCI = "feature.node.kubernetes.io/pci-"
GPU = {"nvidia.com/gpu.present": "true"}
XE = Machine("PowerEdge XE7740", {"10de:233b": 8}, {"15b3:1021": 8}, {"nvidia-driver": "580.173.02"})
MODULE = "26.04-1.1.0"
DRIVER_FILE = "gpu/nvidiadriver-{}.yaml"


def obj(
    kind: str, name: str, spec: Object | None = None, status: Object | None = None, **metadata: Any
) -> Object:
    return {"kind": kind, "metadata": {"name": name, **metadata}, "spec": spec or {}, "status": status or {}}


def node(name: str, *, ring: str = "", **labels: str) -> Object:
    said = {**labels, **({"knowngood.dev/ring": ring} if ring else {})}
    return obj("Node", name, {}, {"nodeInfo": {"kernelVersion": "5.14.0-427.el9_4.x86_64"}}, labels=said)


def driver(ring: str, **selector: str) -> Object:
    return obj("NVIDIADriver", ring, {"nodeSelector": selector or {"knowngood.dev/ring": ring}})


def application(
    *resources: tuple[str, str], path: str = "gpu", repo: str = "https://git.example.com/x.git"
) -> Object:
    source = {"repoURL": repo, "targetRevision": "main", "path": path}
    rows = [{"group": "nvidia.com", "version": "v1alpha1", "kind": k, "name": n} for k, n in resources]
    return obj(
        "Application", f"app-{path}", {"source": source}, {"resources": rows}, namespace="openshift-gitops"
    )


def file(ring: str, path: str = "", **texts: str) -> File:
    return File(
        path or DRIVER_FILE.format(ring), "NVIDIADriver", ring, "", {"spec.version": "580.173.02", **texts}
    )


def a_cluster() -> Seen:
    nodes = [
        node("cp-1", **{"node-role.kubernetes.io/control-plane": ""}),
        node("gpu-2", **GPU, ring="ring-1"),
        node("gpu-10", **GPU, ring="ring-1"),
        node("gpu-1", **GPU, ring="ring-0"),
        node("liqo-x", type="virtual-kubelet"),
    ]
    version = obj("ClusterVersion", "version", {}, _version("4.18.52"))
    objects = {
        "Node": tuple(nodes),
        "ClusterVersion": (version,),
        "NVIDIADriver": (driver("ring-0"), driver("ring-1")),
        "Application": (application(("NVIDIADriver", "ring-0"), ("NVIDIADriver", "ring-1")),),
    }
    machines = dict.fromkeys(("gpu-1", "gpu-2", "gpu-10"), XE)
    return Seen(
        objects,
        {},
        machines,
        (file("ring-0"), file("ring-1")),
        Identity("0c4e9f3a-1111-4222-8333-444455556666", "ab" * 32),
    )


def _version(text: str) -> Object:
    return {"desired": {"version": text}, "history": [{"state": "Completed", "version": text}]}


def told(seen: Seen) -> Told:
    return tell(seen, MATRIX, DEFAULT_NAMESPACES)


def without(seen: Seen, kind: str, why: str = "forbidden") -> Seen:
    return replace(
        seen,
        objects={k: v for k, v in seen.objects.items() if k != kind},
        unread={**seen.unread, kind: why},
    )


def with_(seen: Seen, kind: str, *objects: Object) -> Seen:
    return replace(seen, objects={**seen.objects, kind: objects})


def test_what_is_shown_is_told_with_where_it_was_seen() -> None:
    found = told(a_cluster())
    assert found.values["nodes"] == {
        "controlPlane": ["cp-1"],
        "gpu": ["gpu-1", "gpu-2", "gpu-10"],
        "virtual": ["liqo-x"],
    }
    assert found.values["profile"] == "xe7740-h200nvl"
    assert [(r["name"], r["nodes"]) for r in found.values["rings"]] == [
        ("ring-0", ["gpu-1"]),
        ("ring-1", ["gpu-2", "gpu-10"]),
    ]
    assert found.values["declare"]["nvidia-driver"] == {
        "file": "gpu/nvidiadriver-{ring}.yaml",
        "path": "spec.version",
        "object": {"apiVersion": "nvidia.com/v1alpha1", "kind": "NVIDIADriver", "name": "{ring}"},
    }
    assert {*found.values} <= {*found.how}
    assert found.versions["nvidia-driver"].how == "read on the GPU nodes"


@pytest.mark.parametrize(
    ("kind", "key"),
    [("Node", "nodes"), ("Application", "gitops"), ("ClusterVersion", "traits"), ("Namespace", "tenants")],
)
def test_what_may_not_be_read_is_a_question_that_says_why(kind: str, key: str) -> None:
    found = told(without(a_cluster(), kind))
    assert any("forbidden" in q or kind in q for q in found.questions[key])
    if kind == "Node":
        assert not {"nodes", "rings", "profile"} & {*found.values}


def test_a_node_that_two_objects_select_keeps_the_rings_from_being_told() -> None:
    seen = with_(a_cluster(), "NVIDIADriver", driver("ring-0"), driver("ring-1"), driver("all", **GPU))
    found = told(seen)
    assert "rings" not in found.values
    assert any("all select it" in q for q in found.questions["rings"])


def test_one_without_a_selector_has_every_node_unless_it_is_the_default() -> None:
    every = obj("NVIDIADriver", "every")
    found = told(with_(a_cluster(), "NVIDIADriver", driver("ring-0"), every))
    assert "gpu-1: NVIDIADriver ring-0 and every all select it" in found.questions["rings"][0]
    default = obj("NVIDIADriver", "rest", {"default": True})
    rings = told(with_(a_cluster(), "NVIDIADriver", driver("ring-0"), default)).values["rings"]
    assert {r["name"]: r["nodes"] for r in rings} == {"ring-0": ["gpu-1"], "rest": ["gpu-2", "gpu-10"]}


@pytest.mark.parametrize("label", ["nvidia.com/gpu.present", f"{PCI}10de.present", f"{PCI}0302_10de.present"])
def test_a_node_has_gpus_where_its_operator_would_say_so(label: str) -> None:
    found = told(Seen({"Node": (node("a", **{label: "true"}), node("b", **{label: "false"}))}))
    assert found.values["nodes"] == {"gpu": ["a"], "cpu": ["b"]}


def test_too_little_that_was_read_is_said_so() -> None:
    found = told(Seen({"Node": (node("a", **GPU),)}))
    assert "none of the matrix fits by enough of what was read (" in found.questions["release"][0]


def test_machines_that_no_profile_fits_get_a_draft_and_no_profile() -> None:
    other = Machine("PowerEdge R760xa", {"10de:26b9": 4}, {"15b3:1021": 2})
    found = told(replace(a_cluster(), machines=dict.fromkeys(("gpu-1", "gpu-2", "gpu-10"), other)))
    assert "profile" not in found.values
    assert found.draft == {"product": "PowerEdge R760xa", "gpus": 4, "gpuPciId": "10de:26b9", "nics": 2}


def test_two_kinds_of_machines_are_a_question() -> None:
    hgx = Machine("PowerEdge XE9680", {"10de:2335": 8}, {"15b3:1021": 8})
    machines = {**a_cluster().machines, "gpu-1": hgx}
    found = told(replace(a_cluster(), machines=machines))
    assert "profile" not in found.values
    assert "several kinds" in found.questions["profile"][0]


def test_nodes_that_could_not_be_asked_are_named_and_their_hardware_is_not_assumed() -> None:
    machines = {**a_cluster().machines, "gpu-2": Machine(trouble="no driver pod runs on it")}
    assert "gpu-2" in told(replace(a_cluster(), machines=machines)).questions["profile"][0]
    none = told(replace(a_cluster(), machines={}))
    assert "profile" not in none.values
    assert "nothing shows it from inside" in none.questions["profile"][0]


def test_okd_is_no_openshift_and_no_release_of_it_is_assumed() -> None:
    seen = with_(
        a_cluster(), "ClusterVersion", obj("ClusterVersion", "v", {}, _version("4.21.0-okd-scos.11"))
    )
    found = told(seen)
    assert "platform" not in found.values.get("traits", {})
    assert any("OKD" in q for q in found.questions["traits"])
    assert "openshift" not in found.versions


def test_nodes_of_several_versions_are_a_question() -> None:
    newer = replace(XE, versions={"nvidia-driver": "595.91.07"})
    found = told(replace(a_cluster(), machines={**a_cluster().machines, "gpu-1": newer}))
    assert "nvidia-driver" not in found.versions
    assert any("nvidia-driver: not one version" in q for q in found.questions["release"])


def test_several_releases_that_fit_are_named_and_none_is_taken() -> None:
    machines = dict.fromkeys(("gpu-1", "gpu-2", "gpu-10"), replace(XE, versions={}))
    found = told(replace(a_cluster(), machines=machines))
    assert "release" not in found.values
    assert "what was read fits" in found.questions["release"][0]


def test_a_component_that_two_places_declare_is_a_question() -> None:
    files = (*(a_cluster().files or ()), file("ring-0", "gpu/copy.yaml"))
    found = told(replace(a_cluster(), files=files))
    assert "nvidia-driver" not in found.values.get("declare", {})
    assert any("gpu/copy.yaml" in q for q in found.questions["declare"])


def test_without_a_checkout_no_file_is_named() -> None:
    found = told(replace(a_cluster(), files=None))
    assert "declare" not in found.values
    assert "--gitops" in found.questions["declare"][0]


def test_a_file_outside_of_the_applications_folder_does_not_count() -> None:
    files = tuple(replace(f, path=f"base/{f.path}") for f in a_cluster().files or ())
    assert "declare" not in told(replace(a_cluster(), files=files)).values


def chart(name: str, chart: str) -> Object:
    """An Application with a chart, as it is live."""
    return obj("Application", name, {"source": {"chart": chart, "repoURL": "https://charts.example.com"}})


def test_an_application_declares_the_component_of_its_chart_and_no_other() -> None:
    parent = application(("NVIDIADriver", "ring-0"), ("NVIDIADriver", "ring-1"), ("Application", "kai"))
    said = {"spec.source.chart": "kai-scheduler", "spec.source.targetRevision": "v0.12.16"}
    files = (*(a_cluster().files or ()), File("gpu/kai.yaml", "Application", "kai", "argocd", said))
    seen = with_(replace(a_cluster(), files=files), "Application", parent, chart("kai", "kai-scheduler"))
    declared = told(seen).values["declare"]
    assert {*declared} == {"nvidia-driver", "kai-scheduler"}, "not of every chart"
    assert declared["kai-scheduler"]["path"] == "spec.source.targetRevision"
    assert declared["kai-scheduler"]["object"]["namespace"] == "argocd"


def test_a_parent_of_strange_charts_declares_nothing() -> None:
    parent = application(("Application", "wiki"), path="apps", repo="https://git.example.com/other.git")
    rows = (*a_cluster().objects["Application"], parent, chart("wiki", "wiki"))
    found = told(with_(a_cluster(), "Application", *rows))
    assert [a["name"] for a in found.values["gitops"]["applications"]] == ["app-gpu"]


def test_applications_of_two_repositories_are_a_question() -> None:
    rows = (
        application(("NVIDIADriver", "ring-0")),
        application(("NVIDIADriver", "ring-1"), path="b", repo="x"),
    )
    found = told(with_(a_cluster(), "Application", *rows))
    assert "gitops" not in found.values
    assert "one repository" in found.questions["gitops"][0]


def test_the_modules_version_is_told_as_the_package_that_the_matrix_knows() -> None:
    machines = dict.fromkeys(("gpu-1", "gpu-2", "gpu-10"), replace(XE, versions={"doca-ofed": MODULE}))
    found = told(replace(a_cluster(), machines=machines)).versions["doca-ofed"]
    assert found.text == "doca3.4.1-26.04-1.1.0.0-1"
    assert MODULE in found.how


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({}, "a"),
        ({"capsule.clastix.io/tenant": "oil"}, "oil"),
        ({"liqo.io/remote-cluster-id": "rome"}, "rome"),  # a consumer's namespace, on the provider's side
    ],
)
def test_tenants_are_namespaces_whose_work_asks_for_gpus(labels: dict[str, str], owner: str) -> None:
    pod = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod}
    work = obj("Deployment", "x", {"replicas": 3, "template": template}, namespace="a")
    budget = obj(
        "PodDisruptionBudget",
        "x",
        {"minAvailable": 2, "selector": {"matchLabels": {"app": "x"}}},
        namespace="a",
    )
    seen = with_(
        a_cluster(), "Deployment", work, obj("Deployment", "y", {"template": {"spec": {}}}, namespace="b")
    )
    seen = with_(
        with_(seen, "PodDisruptionBudget", budget), "Namespace", obj("Namespace", "a", labels=labels)
    )
    (tenant,) = told(seen).values["tenants"]
    assert (tenant["name"], tenant["namespaces"]) == (owner, ["a"])
    assert tenant["workloads"] == [
        {"name": "x", "kind": "Deployment", "replicas": 3, "gpusPerPod": 2, "minAvailable": 2}
    ]


@pytest.mark.parametrize("kind", ["Pod", "Job", "Namespace", "PodDisruptionBudget"])
def test_where_work_could_not_be_read_nobody_says_that_there_is_none(kind: str) -> None:
    assert told(a_cluster()).values["tenants"] == []
    found = told(without(a_cluster(), kind))
    assert "tenants" not in found.values
    assert f"{kind} could not be read" in found.questions["tenants"][0]


@pytest.mark.parametrize(
    ("platform", "value"), [("BareMetal", "bare-metal"), ("None", ""), ("VSphere", ""), ("", "")]
)
def test_machines_that_openshift_does_not_manage_may_be_virtual(platform: str, value: str) -> None:
    infrastructure = obj("Infrastructure", "cluster", {}, {"platformStatus": {"type": platform}})
    found = told(with_(a_cluster(), "Infrastructure", infrastructure))
    assert found.values["traits"].get("infrastructure", "") == value
    assert any(q.startswith("infrastructure") for q in found.questions["traits"]) is (value == "")


@pytest.mark.parametrize(
    ("names", "value"),
    [(["cp-1"], "single-node"), (["cp-1", "gpu-1"], "one-control-plane"), (["cp-1", "cp-2", "cp-3"], "ha")],
)
def test_the_only_node_is_no_control_plane_with_workers(names: list[str], value: str) -> None:
    """Rules speak of single-node clusters: under another word none of them would be asked."""
    plane = {"node-role.kubernetes.io/control-plane": ""}
    nodes = [node(name, **(plane if name.startswith("cp") else GPU)) for name in names]
    assert told(with_(a_cluster(), "Node", *nodes)).values["traits"]["topology"] == value


def test_every_value_that_is_told_is_one_that_a_cluster_file_may_say() -> None:
    said = json.loads((matrix_dir() / "schema" / "cluster.json").read_text())
    allowed = {name: set(t["enum"]) for name, t in said["properties"]["traits"]["properties"].items()}
    assert {*traits.LOOKS} == {*allowed}
    assert {*traits.NETWORKS.values(), "cilium", "calico"} <= allowed["network"]


@pytest.mark.parametrize(
    "kubelet", ["v1.31.4-eks-7f9249a", "v1.31.4-gke.1234000", "v1.31.4+rke2r1", "v1.31.4+k3s1"]
)
def test_a_distribution_of_kubernetes_is_not_taken_for_upstreams(kubelet: str) -> None:
    one = node("gpu-1", **GPU)
    one["status"]["nodeInfo"]["kubeletVersion"] = kubelet
    told = tell(Seen({"Node": (one,)}), MATRIX, DEFAULT_NAMESPACES)
    assert "platform" not in told.values.get("traits", {})
    assert any(f"kubelets are {kubelet[1:]}, a distribution" in asked for asked in told.questions["traits"])
    assert told.versions["kubernetes"].text == kubelet[1:]


@pytest.mark.parametrize("build", ["+rt", "+64k", "+rt-64k", ""])
def test_a_kernel_keeps_its_build(build: str) -> None:
    one = node("gpu-1", **GPU)
    one["status"]["nodeInfo"]["kernelVersion"] += build
    assert (
        tell(Seen({"Node": (one,)}), MATRIX, DEFAULT_NAMESPACES).versions["rhcos-kernel"].text
        == f"5.14.0-427.el9_4{build}"
    )


def test_a_driver_that_came_with_the_nodes_is_told() -> None:
    """Nothing of the cluster declares it: a run could only wait for pods that nobody makes."""
    bare = with_(replace(a_cluster(), files=()), "NVIDIADriver")
    asked = " ".join(
        told(
            with_(bare, "ClusterPolicy", obj("ClusterPolicy", "p", {"driver": {"enabled": False}}))
        ).questions["declare"]
    )
    assert (
        "nvidia-driver: 580.173.02 runs, and no NVIDIADriver or ClusterPolicy of the cluster declares it"
        in asked
    )


def test_an_object_that_no_application_brings_is_told() -> None:
    alone = replace(a_cluster(), files=())
    alone = with_(alone, "NVIDIADriver", obj("NVIDIADriver", "ring-0", {"version": "580.173.02"}))
    asked = " ".join(told(with_(alone, "Application")).questions["declare"])
    assert "NVIDIADriver ring-0 says what runs of it, and no Application brings that object" in asked


@pytest.mark.parametrize(("image", "version"), [("Talos (v1.13.7)", "1.13.7"), ("Ubuntu 24.04.3 LTS", "")])
def test_talos_is_told_by_its_nodes_themselves(image: str, version: str) -> None:
    one = node("gpu-1", **GPU)
    one["status"]["nodeInfo"] |= {"osImage": image, "kubeletVersion": "v1.34.3"}
    found = tell(Seen({"Node": (one,)}), MATRIX, DEFAULT_NAMESPACES).versions
    assert (found["talos"].text if "talos" in found else "") == version

"""Images are named as pods name them and as the operators will compose them, for each node's own system."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.oci import USER, WORD, needs_registry, served
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.gates.conftest import request
from tests.unit.gates.test_operators import CLUSTER

from knowngood.adapters.cluster import gpu_config
from knowngood.adapters.judging import image_list
from knowngood.adapters.judging.kube_registry import KubeRegistry
from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.upstream.oci import Mirror
from knowngood.gate import images as gate_images
from knowngood.model.errors import Location
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration, Release, ReleaseStatus, Ring
from knowngood.model.pulling import Pulling
from knowngood.ports.registry import PRESENT, TARGET, Images, Looked

OS = "feature.node.kubernetes.io/system-os_release."
DRIVER = ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "gpu-{ring}")
RING = Declaration("nvidia-driver", "{ring}/driver.yaml", "spec.version", DRIVER)
SPACE = "nvidia-gpu-operator"
LOGIN = base64.b64encode(f"{USER}:{WORD}".encode()).decode()


class Fake(FakeKube):
    """Kinds need no discovery here: one plural a kind."""

    def locate(self, api_version: str, kind: str, name: str, namespace: str = "") -> str:
        return path(api_version, f"{kind.lower()}s", name, namespace)


@pytest.fixture
def kube() -> Fake:
    found = Fake()
    found.collections |= {"imagetagmirrorsets", "clusterpolicies"}
    for name, version, arch in (("a", "4.18", "amd64"), ("b", "4.17", "arm64")):
        labels = {f"{OS}ID": "rhcos", f"{OS}VERSION_ID": version, f"{OS}OSTREE_VERSION": f"{version}.1"}
        info = {"kernelVersion": "5.14", "architecture": arch}
        found.put(path("v1", "nodes", name), {"metadata": {"labels": labels}, "status": {"nodeInfo": info}})
        spec = {"repository": "m.example.com/nvidia", "image": "driver", "version": "580.1"}
        found.put(path("nvidia.com/v1alpha1", "nvidiadrivers", f"gpu-{name}"), {"spec": spec})
    return found


def cluster(*declarations: Declaration) -> Any:
    rings = (Ring("a", ("a",), 1), Ring("b", ("b",), 1))
    return replace(CLUSTER, rings=rings, declarations=declarations)


def test_each_node_gets_the_image_of_its_system_from_its_rings_object(kube: Fake) -> None:
    nodes = image_list.machines(kube, ["a", "b", "gone"])
    found = image_list.coming(kube, cluster(RING), {"nvidia-driver": "595.1"}, nodes)
    assert found.images == {
        "m.example.com/nvidia/driver:595.1-rhcos4.18": {"amd64"},
        "m.example.com/nvidia/driver:595.1-rhcos4.17": {"arm64"},
    }
    assert "no image stream" in found.untold[0]


def test_a_digest_is_taken_as_it_is_and_a_missing_repository_is_told(kube: Fake) -> None:
    nodes = image_list.machines(kube, ["a", "b"])
    kube.put(path("nvidia.com/v1alpha1", "nvidiadrivers", "gpu-b"), {"spec": {"version": "580.1"}})
    found = image_list.coming(kube, cluster(RING), {"nvidia-driver": "sha256:ab"}, nodes)
    assert set(found.images) == {"m.example.com/nvidia/driver@sha256:ab"}
    assert any("names no repository" in words for words in found.untold)


def test_the_toolkit_is_the_tag_of_the_nodes_build(kube: Fake) -> None:
    tags = [{"name": "4.18.1", "from": {"kind": "DockerImage", "name": "q.example.com/dtk@sha256:1"}}]
    where = path("image.openshift.io/v1", "imagestreams", "driver-toolkit", "openshift")
    kube.put(where, {"spec": {"tags": tags}})
    found = image_list.coming(kube, cluster(), {}, image_list.machines(kube, ["a", "b"]))
    assert found.images == {"q.example.com/dtk@sha256:1": {"amd64"}}
    assert found.untold == ("b: the toolkit has no tag 4.17.1",)


def test_what_the_cluster_file_names_for_a_release_is_asked_for_too(kube: Fake) -> None:
    at = ObjectRef("config.openshift.io/v1", "ClusterVersion", "version")
    images, toolkits = {"4.19.1": "m.example.com/ocp@sha256:1"}, {"4.19.1": "m.example.com/dtk@sha256:2"}
    named = Declaration("openshift", "v.yaml", "spec.desiredUpdate.version", at, images, toolkits)
    nodes = image_list.machines(kube, ["a"])
    found = image_list.coming(kube, cluster(named), {"openshift": "4.19.1"}, nodes)
    assert found.images == {"m.example.com/ocp@sha256:1": {"amd64"}, "m.example.com/dtk@sha256:2": {"amd64"}}
    assert not image_list.coming(kube, cluster(named), {"openshift": "4.20.1"}, nodes).images


def test_what_runs_is_named_by_the_pods_of_the_judged_nodes(kube: Fake) -> None:
    for name, node in (("x", "a"), ("y", "b"), ("z", "elsewhere")):
        spec = {
            "nodeName": node,
            "containers": [{"image": "q/main"}],
            "initContainers": [{"image": f"q/{name}"}],
        }
        kube.put(path("v1", "pods", name, SPACE), {"spec": spec})
    found = image_list.running(kube, (SPACE,), image_list.machines(kube, ["a", "b"]))
    assert found.images == {"q/main": {"amd64", "arm64"}, "q/x": {"amd64"}, "q/y": {"arm64"}}


def test_the_registry_is_the_clusters_and_a_login_is_never_shown(kube: Fake) -> None:
    secret = json.dumps({"auths": {"m.example.com": {"auth": "c2VjcmV0"}}})
    data = {".dockerconfigjson": base64.b64encode(secret.encode()).decode()}
    kube.put(path("v1", "secrets", "pull-secret", "openshift-config"), {"data": data})
    entry = {"source": "up.example.com", "mirrors": ["m.example.com/up"]}
    where = path("config.openshift.io/v1", "imagetagmirrorsets", "all")
    kube.put(where, {"spec": {"imageTagMirrors": [entry]}})
    registry = image_list.registry(kube)
    assert registry.mirrors.tags == (Mirror("up.example.com", ("m.example.com/up",)),)
    assert registry.logins == {"m.example.com": "c2VjcmV0"}
    assert "c2VjcmV0" not in repr(registry)


def test_without_openshift_there_are_no_mirrors_and_no_login(kube: Fake) -> None:
    kube.collections -= {"imagetagmirrorsets"}
    registry = image_list.registry(kube)
    assert (registry.mirrors.tags, registry.mirrors.digests, registry.logins) == ((), (), {})


def config_map(kube: Fake, name: str, key: str, text: str) -> None:
    kube.put(path("v1", "configmaps", name, SPACE), {"data": {key: text}})


def test_the_gpus_configuration_is_what_the_policy_names(kube: Fake) -> None:
    spec = {
        "migManager": {"config": {"name": "own"}},
        "devicePlugin": {"config": {"name": "p", "default": "k"}},
    }
    kube.put(path("nvidia.com/v1", "clusterpolicies", "gpu"), {"spec": spec})
    config_map(kube, "own", "config.yaml", "mig-configs: {one: [{devices: all, mig-enabled: false}]}")
    config_map(kube, "p", "k", "version: v1")
    found = gpu_config.read(kube, SPACE)
    assert list(found.mig) == ["one"]
    assert found.plugin == {"k": {"version": "v1"}}
    assert (found.default, found.named, found.policy, found.mig_trouble, found.plugin_trouble) == (
        "k",
        True,
        True,
        "",
        "",
    )


@pytest.mark.parametrize(
    ("text", "words"), [(None, "no ConfigMap own"), ("a: [", "own, config.yaml"), ("a: 1", "no mig-configs")]
)
def test_a_configuration_that_can_not_be_read_is_told(kube: Fake, text: str | None, words: str) -> None:
    spec = {"migManager": {"config": {"name": "own"}}}
    kube.put(path("nvidia.com/v1", "clusterpolicies", "gpu"), {"spec": spec})
    if text is not None:
        config_map(kube, "own", "config.yaml", text)
    assert words in gpu_config.read(kube, SPACE).mig_trouble


def test_a_cluster_without_a_policy_says_so(kube: Fake) -> None:
    kube.collections -= {"clusterpolicies"}
    found = gpu_config.read(kube, SPACE)
    assert (found.policy, found.named) == (False, False)


@needs_registry
def test_the_gate_asks_the_mirror_that_the_cluster_names_for_what_runs_and_what_comes(
    kube: Fake, tmp_path: Path
) -> None:
    """A real registry behind a login holds the present release; the target's image was never mirrored."""
    with served(tmp_path, login=LOGIN) as registry:
        registry.push("mirrored/nvidia/driver", "580.1-rhcos4.18", "amd64")
        secret = json.dumps({"auths": {registry.host: {"auth": LOGIN}}})
        data = {".dockerconfigjson": base64.b64encode(secret.encode()).decode()}
        kube.put(path("v1", "secrets", "pull-secret", "openshift-config"), {"data": data})
        entry = {"source": "m.example.com", "mirrors": [f"{registry.host}/mirrored"]}
        only = {**entry, "mirrorSourcePolicy": "NeverContactSource"}
        where = path("config.openshift.io/v1", "imagetagmirrorsets", "all")
        kube.put(where, {"spec": {"imageTagMirrors": [only]}})
        insecure = {"registrySources": {"insecureRegistries": [registry.host]}}
        kube.put(path("config.openshift.io/v1", "images", "cluster"), {"spec": insecure})
        running = "m.example.com/nvidia/driver:580.1-rhcos4.18"
        spec = {"nodeName": "a", "containers": [{"image": running}]}
        kube.put(path("v1", "pods", "driver", SPACE), {"spec": spec})
        asked = request(nodes=("a",))
        found = images_of(kube, cluster(RING), asked, release("595.1"))
        assert (found["present"].asked, found["present"].answer) == ((running,), Images())
        (gone,) = found["target"].answer.missing
        assert gone == "m.example.com/nvidia/driver:595.1-rhcos4.18"
        assert "404" in found["target"].answer.missing[gone]
        assert images_of(kube, cluster(RING), asked, release("580.1"))["target"].answer == Images()
        assert LOGIN not in repr(found)


@needs_registry
def test_a_clusters_own_secret_and_hosts_are_those_of_its_file_and_the_toolkit_is_asked_by_its_digest(
    kube: Fake, tmp_path: Path
) -> None:
    """Outside OpenShift nothing names them. What runs by a digest is asked for, whatever tag a pod names."""
    with served(tmp_path, login=LOGIN) as registry:
        toolkit = registry.push("ocp/toolkit", "any", "amd64", "arm64")
        driver = registry.push("nvidia/driver", "580.1-rhcos4.18", "amd64")
        name = f"{registry.host}/ocp/toolkit@{toolkit}"
        tags = [{"name": f"{v}.1", "from": {"name": name}} for v in ("4.18", "4.17")]
        stream = path("image.openshift.io/v1", "imagestreams", "driver-toolkit", "openshift")
        kube.put(stream, {"spec": {"tags": tags}})
        secret = json.dumps({"auths": {registry.host: {"auth": LOGIN}}})
        data = {".dockerconfigjson": base64.b64encode(secret.encode()).decode()}
        kube.put(path("v1", "secrets", "mirror", "site"), {"data": data})
        site = Pulling("site/mirror", (registry.host,))
        running = [f"{registry.host}/nvidia/driver@{digest}" for digest in (driver, f"sha256:{'0' * 64}")]

        def looked(pulling: Pulling) -> Mapping[str, Looked]:
            of = replace(cluster(), registry=pulling)
            return KubeRegistry(kube, of, {}).look(("a", "b"), running, {})

        found = looked(site)
        assert found[TARGET] == Looked((name,), Images())
        assert found[PRESENT].asked == tuple(sorted(running))
        assert list(found[PRESENT].answer.missing) == [running[1]]
        gone = f"{registry.host}/ocp/toolkit@sha256:{'1' * 64}"
        kube.put(stream, {"spec": {"tags": [{"name": "4.18.1", "from": {"name": gone}}]}})
        part = looked(site)[TARGET]
        assert list(part.answer.missing) == [gone]
        assert part.untold == ("b: the toolkit has no tag 4.17.1",)
        for other in (Pulling("site/none", (registry.host,)), Pulling("site/mirror")):
            answer = looked(other)[PRESENT].answer
            assert (dict(answer.missing), len(answer.unproven)) == ({}, 2), "denied, or no TLS: nobody knows"


def images_of(kube: Fake, of: Any, asked: Any, wanted: Release) -> Any:
    return gate_images.images.__wrapped__(kube, of, asked, wanted)  # type: ignore[attr-defined]


def release(driver: str) -> Release:
    return Release("r", ReleaseStatus.CANDIDATE, {"nvidia-driver": driver}, (), Location("test"))

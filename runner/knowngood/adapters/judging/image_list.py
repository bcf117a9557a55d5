"""Which images the judged nodes pull: what runs now, and what the release brings to each node's system. Reads only.

Tags as the operators compose them: the driver's `<version>-<os>`, precompiled `<branch>-<kernel>-<os>`; DOCA-OFED's
`<version>-<os><os version>-<arch>` (NVIDIA GPU and Network Operator documentation; os tag without a minor from GPU
Operator 26.7 on `rhel`, gpu-operator pull 2497). The driver toolkit is an image stream's tag, named like the build.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.movers.olm_operator import name_of
from knowngood.adapters.upstream.oci import Mirrors, OciRegistry, logins, mirrors_of
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Cluster
from knowngood.model.pulling import Pulling

OS = "feature.node.kubernetes.io/system-os_release."
MAJOR_ONLY = (26, 7)
"""From this GPU Operator on the os tag of `rhel` loses its minor."""
SETS = (
    ("config.openshift.io/v1", "imagedigestmirrorsets"),
    ("operator.openshift.io/v1alpha1", "imagecontentsourcepolicies"),
    ("config.openshift.io/v1", "imagetagmirrorsets"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What of a node decides which image fits it: its os tag's parts, kernel, architecture, build of the system."""

    name: str
    os_id: str
    os_version: str
    kernel: str
    arch: str
    build: str = ""

    def os_tag(self, operator: tuple[int, ...]) -> str:
        """As the GPU Operator of that version composes it."""
        shorter = self.os_id == "rhel" and operator >= MAJOR_ONLY
        return f"{self.os_id}{self.os_version.partition('.')[0] if shorter else self.os_version}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Image -> the architectures that need it; what could not be told, in words; and components whose are not named."""

    images: Mapping[str, frozenset[str]]
    untold: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


def registry(kube: Kube, site: Pulling | None = None) -> OciRegistry:
    """The registry as the cluster's nodes see it: mirrors, pull secret, hosts without TLS; `site`: its cluster file."""
    site = site or Pulling()
    found = {kind: list(mirrors_of(_list(kube, api, kind))) for api, kind in SETS}
    image = kube.find(path("config.openshift.io/v1", "images", "cluster"))
    insecure = ((image or {}).get("spec") or {}).get("registrySources", {}).get("insecureRegistries") or ()
    secret = _secret(kube, site.secret)
    return OciRegistry(
        Mirrors(
            digests=(*found["imagedigestmirrorsets"], *found["imagecontentsourcepolicies"]),
            tags=tuple(found["imagetagmirrorsets"]),
            insecure=frozenset((*map(str, insecure), *site.insecure)),
        ),
        logins(secret),
    )


def machines(kube: Kube, nodes: Sequence[str]) -> list[Machine]:
    """The judged nodes, by what NFD and the kubelet say of them."""
    found = {name_of(n): n for n in kube.list(path("v1", "nodes"))}
    return [_machine(found[name]) for name in nodes if name in found]


def running(kube: Kube, spaces: Sequence[str], nodes: Sequence[Machine]) -> Wanted:
    """What the operators' pods on these nodes run, by the reference that each names, with the digest where one is."""
    arch = {m.name: m.arch for m in nodes}
    images: dict[str, set[str]] = {}
    for pod in (p for space in spaces for p in kube.list(path("v1", "pods", "", space))):
        machine = arch.get(str(pod["spec"].get("nodeName") or ""))
        for container in (*pod["spec"].get("containers", ()), *(pod["spec"].get("initContainers") or ())):
            if machine and container.get("image"):
                images.setdefault(str(container["image"]), set()).add(machine)
    return Wanted({image: frozenset(found) for image, found in images.items()})


def coming(kube: Kube, cluster: Cluster, release: Mapping[str, str], nodes: Sequence[Machine]) -> Wanted:
    """What the release's driver and DOCA-OFED are on each of these nodes, and the toolkit that builds them.

    And the images that the cluster file names for it: of the platform's release, and of its toolkit.
    """
    images: dict[str, set[str]] = {}
    for declaration in cluster.declarations:
        of = release.get(declaration.component, "")
        for image in filter(None, (declaration.images.get(of), declaration.toolkits.get(of))):
            images.setdefault(image, set()).update(m.arch for m in nodes if m.arch)
    untold: list[str] = []
    operator = _numbers(release.get("gpu-operator", ""))
    for declaration in cluster.declarations:
        version = release.get(declaration.component, "")
        tag = COMPOSED.get(declaration.component)
        if not version or tag is None:
            continue
        for ref, machine in _declaring(cluster, declaration.object, nodes):
            section = section_of(kube, ref, declaration.path)
            said = declaration.texts.get(version, {})
            beside = declaration.path.rpartition(".")[0]
            repository, image = (
                said.get(f"{beside}.{key}", str(section.get(key) or "")) for key in ("repository", "image")
            )
            text = said.get(declaration.path, version)
            if not (machine.os_id and machine.os_version and machine.arch):
                untold.append(
                    f"{machine.name}: NFD names no operating system: which image fits can't be told"
                )
            elif not repository or not image:
                untold.append(f"{ref} names no repository and image: which image {version} is can't be told")
            elif text.startswith("sha256:"):
                images.setdefault(f"{repository}/{image}@{text}", set()).add(machine.arch)
            else:
                found = f"{repository}/{image}:{tag(version, machine, section, operator)}"
                images.setdefault(found, set()).add(machine.arch)
    toolkits, words = _toolkits(kube, nodes)
    for image, arch in toolkits:
        images.setdefault(image, set()).add(arch)
    return Wanted({i: frozenset(a) for i, a in images.items()}, tuple(dict.fromkeys((*untold, *words))))


def _driver_tag(version: str, machine: Machine, section: Object, operator: tuple[int, ...]) -> str:
    if section.get("usePrecompiled"):
        return f"{version.partition('.')[0]}-{machine.kernel}-{machine.os_tag(operator)}"
    return f"{version}-{machine.os_tag(operator)}"


def _doca_tag(version: str, machine: Machine, _section: Object, _operator: tuple[int, ...]) -> str:
    return f"{version}-{machine.os_id}{machine.os_version}-{machine.arch}"


COMPOSED = {"nvidia-driver": _driver_tag, "doca-ofed": _doca_tag}
"""Components whose image depends on the node's system, each with how its tag is composed."""


def _declaring(
    cluster: Cluster, ref: ObjectRef, nodes: Sequence[Machine]
) -> Iterator[tuple[ObjectRef, Machine]]:
    """Each node with the object that declares the component on it."""
    ring_of = {node: ring.name for ring in cluster.rings for node in ring.nodes}
    for machine in nodes:
        if "{ring}" not in ref.name:
            yield ref, machine
        elif machine.name in ring_of:
            yield ref.of_ring(ring_of[machine.name]), machine


def section_of(kube: Kube, ref: ObjectRef, at: str) -> Object:
    """The part of the live object that the version stands in."""
    found: Any = kube.find(kube.locate(ref.api_version, ref.kind, ref.name, ref.namespace)) or {}
    for part in at.split(".")[:-1]:
        found = found.get(part) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _toolkits(kube: Kube, nodes: Sequence[Machine]) -> tuple[list[tuple[str, str]], list[str]]:
    """The driver toolkit of each node's build, where the cluster has such an image stream."""
    builds = [m for m in nodes if m.build]
    if not builds:
        return [], []
    try:
        stream = kube.find(path("image.openshift.io/v1", "imagestreams", "driver-toolkit", "openshift"))
    except (ApiError, UsageError) as error:
        return [], [f"the driver toolkit's image stream can't be read: {error}"]
    if stream is None:
        return [], ["there is no image stream openshift/driver-toolkit: the driver can't be built"]
    tags = {
        str(t["name"]): str((t.get("from") or {}).get("name") or "") for t in stream["spec"].get("tags") or ()
    }
    found = [(tags[m.build], m.arch) for m in builds if tags.get(m.build)]
    return found, [f"{m.name}: the toolkit has no tag {m.build}" for m in builds if not tags.get(m.build)]


def _machine(node: Object) -> Machine:
    labels, info = node["metadata"].get("labels") or {}, node["status"].get("nodeInfo") or {}
    return Machine(
        name=name_of(node),
        os_id=str(labels.get(f"{OS}ID") or ""),
        os_version=str(labels.get(f"{OS}VERSION_ID") or ""),
        kernel=str(info.get("kernelVersion") or ""),
        arch=str(info.get("architecture") or labels.get("kubernetes.io/arch") or ""),
        build=str(labels.get(f"{OS}OSTREE_VERSION") or ""),
    )


def _list(kube: Kube, api: str, kind: str) -> list[Object]:
    try:
        return kube.list(path(api, kind))
    except ApiError as error:
        if error.missing:
            return []
        raise


def _secret(kube: Kube, where: str) -> str:
    """The cluster's pull secret as JSON; "" where there is none, or it may not be read: then nobody logs in."""
    space, _, name = where.partition("/")
    try:
        found = kube.find(path("v1", "secrets", name, space)) or {}
        return base64.b64decode((found.get("data") or {}).get(".dockerconfigjson") or "").decode()
    except (ApiError, UsageError, ValueError):
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())

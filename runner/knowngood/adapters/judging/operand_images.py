"""The images of what operators make of a field, where that object names repository and image; and whose are not named.

An operator's bundle and a chart name their images themselves, and no field of the cluster does: these are told as not
asked for, since to call each run with an operator inconclusive would have nobody ask at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.adapters.judging.image_list import COMPOSED, Machine, Wanted, section_of
from knowngood.adapters.kubernetes.client import Kube
from knowngood.model.matrix import Cluster, Declaration
from knowngood.model.mover import MoverSpec, Specs

SETTINGS = frozenset({"label", "nic-firmware", "machine-config", "redfish", "sriov", "talosctl"})
"""Classes of movers that bring no image to the nodes' registry of their own."""


def coming(
    kube: Kube, cluster: Cluster, release: Mapping[str, str], specs: Specs, nodes: Sequence[Machine]
) -> Wanted:
    """The operands' images as `repository/image:version` (GPU and Network Operator), for each node's architecture.

    `unasked`: declared components of the release that bring images which nothing here names.
    """
    arch = frozenset(m.arch for m in nodes if m.arch)
    images: dict[str, frozenset[str]] = {}
    unasked: list[str] = []
    for declaration in cluster.declarations:
        version, spec = release.get(declaration.component, ""), specs.get(declaration.component)
        if not version or spec is None or not _brings(declaration, spec, version):
            continue
        image = _image(kube, declaration, spec, version) if spec.kind == "operand" else ""
        if image:
            images[image] = arch
        else:
            unasked.append(declaration.component)
    return Wanted(images, unasked=tuple(dict.fromkeys(unasked)))


def _brings(declaration: Declaration, spec: MoverSpec, version: str) -> bool:
    """Whether it brings images that are not asked for elsewhere: a setting brings none."""
    if declaration.component in COMPOSED or version in declaration.images:
        return False
    return spec.kind not in SETTINGS and not spec.values


def _image(kube: Kube, declaration: Declaration, spec: MoverSpec, version: str) -> str:
    """By what Git will say beside the version, else by what the live object says; "" where that is not enough."""
    said, kind = declaration.texts.get(version, {}), declaration.object.kind
    written = spec.fields.get(kind, {}).get(declaration.path, "{version}").replace("{version}", version)
    text, beside = said.get(declaration.path, written), declaration.path.rpartition(".")[0]
    live = section_of(kube, declaration.object, declaration.path)
    repository, image = (
        said.get(f"{beside}.{key}", str(live.get(key) or "")) for key in ("repository", "image")
    )
    if not repository or not image or not declaration.path.endswith(".version"):
        return ""
    return f"{repository}/{image}{'@' if text.startswith('sha256:') else ':'}{text}"

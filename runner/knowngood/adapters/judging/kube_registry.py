"""Asks the registry that a cluster's nodes pull from for what runs there and for what a release brings there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from knowngood.adapters.judging import image_list, operand_images, operand_view
from knowngood.adapters.kubernetes.client import Kube
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Specs
from knowngood.ports.registry import PRESENT, TARGET, Images, Looked, Registry


class KubeRegistry(Registry):
    """By the cluster's mirror sets and pull secret. `specs`: how components move, which names their operators."""

    def __init__(self, kube: Kube, cluster: Cluster, specs: Specs) -> None:
        self._kube, self._cluster, self._specs = kube, cluster, specs

    def look(
        self, nodes: Sequence[str], running: Sequence[str], versions: Mapping[str, str]
    ) -> Mapping[str, Looked]:
        """See the port. Each image is asked for once, whichever release has it."""
        kube, machines = self._kube, image_list.machines(self._kube, nodes)
        spaces = operand_view.namespaces(self._cluster, self._specs)
        parts = {
            PRESENT: image_list.running(kube, spaces, machines),
            TARGET: self._coming(versions, machines),
        }
        every: dict[str, set[str]] = {image: set() for image in running}
        for part in parts.values():
            for image, of in part.images.items():
                every.setdefault(image, set()).update(of)
        asked = {image: " ".join(sorted(of)) for image, of in sorted(every.items())}
        answer = image_list.registry(kube, self._cluster.registry).look_for(asked)
        wanted = {PRESENT: {*parts[PRESENT].images, *running}, TARGET: {*parts[TARGET].images}}
        return {name: _part(wanted[name], part, answer) for name, part in parts.items()}

    def _coming(
        self, versions: Mapping[str, str], machines: Sequence[image_list.Machine]
    ) -> image_list.Wanted:
        drivers = image_list.coming(self._kube, self._cluster, versions, machines)
        operands = operand_images.coming(self._kube, self._cluster, versions, self._specs, machines)
        return image_list.Wanted({**drivers.images, **operands.images}, drivers.untold, operands.unasked)


def _part(wanted: Iterable[str], part: image_list.Wanted, answer: Images) -> Looked:
    mine = tuple(sorted(wanted))
    missing = {image: why for image, why in answer.missing.items() if image in mine}
    unproven = {image: why for image, why in answer.unproven.items() if image in mine}
    return Looked(mine, Images(missing, unproven), part.untold, part.unasked)

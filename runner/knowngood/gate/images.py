"""What a gate can ask of images: those that run, those that the release brings, and whether a registry has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from knowngood.adapters.judging import image_list, operand_view
from knowngood.adapters.kubernetes.client import Kube
from knowngood.model.context import JudgeRequest
from knowngood.model.matrix import Cluster, Release
from knowngood.ports.registry import Images


@dataclass(frozen=True, slots=True)
class Looked:
    """One part of the images: what was asked for, the answer, and what could not even be named."""

    asked: tuple[str, ...]
    answer: Images
    untold: tuple[str, ...] = ()


@pytest.fixture(scope="session")
def images(
    kube: Kube, cluster: Cluster, judgement: JudgeRequest, release: Release | None
) -> Mapping[str, Looked]:
    """`present`: what runs on the judged nodes; `target`: what the release brings there. Each is asked for once."""
    nodes = image_list.machines(kube, judgement.nodes)
    spaces = operand_view.namespaces(cluster, judgement.movers)
    expected = {**(release.components if release else {})}
    parts = {
        "present": image_list.running(kube, spaces, nodes),
        "target": image_list.coming(kube, cluster, expected, nodes),
    }
    every: dict[str, set[str]] = {}
    for part in parts.values():
        for image, machines in part.images.items():
            every.setdefault(image, set()).update(machines)
    asked = {image: " ".join(sorted(machines)) for image, machines in sorted(every.items())}
    answer = image_list.registry(kube).look_for(asked)
    return {name: _part(part, answer) for name, part in parts.items()}


def _part(wanted: image_list.Wanted, answer: Images) -> Looked:
    mine = tuple(sorted(wanted.images))
    missing = {image: why for image, why in answer.missing.items() if image in wanted.images}
    unproven = {image: why for image, why in answer.unproven.items() if image in wanted.images}
    return Looked(mine, Images(missing, unproven), wanted.untold)

"""What a gate can ask of images: those that run, those that the release brings, and whether a registry has them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from knowngood.adapters.kubernetes.client import Kube
from knowngood.model.context import JudgeRequest
from knowngood.model.matrix import Cluster, Release
from knowngood.ports.registry import Looked


@pytest.fixture(scope="session")
def images(
    kube: Kube, cluster: Cluster, judgement: JudgeRequest, release: Release | None
) -> Mapping[str, Looked]:
    """`present`: what runs on the judged nodes; `target`: what the release brings there. Each is asked for once."""
    from knowngood.adapters.judging.kube_registry import KubeRegistry  # noqa: PLC0415 (few judgements ask a registry)

    expected = {**(release.components if release else {})}
    return KubeRegistry(kube, cluster, judgement.movers).look(judgement.nodes, (), expected)

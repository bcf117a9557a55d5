"""The seed file: what is refused, and by which name."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin.objects import all_objects, operating_system
from knowngood.twin.seed import SeedError, parse

NODE = {"name": "gpu-1", "role": "gpu", "gpus": 8}
BARE_POD = {"name": "w", "kind": "Pod", "replicas": 1}
INSTALLED = {
    "package": "a",
    "namespace": "n",
    "channel": "stable",
    "csv": "a.v1.0.0",
    "source": "cat",
    "sourceNamespace": "openshift-marketplace",
}
GOOD: dict[str, Any] = {
    "schema": 1,
    "openshift": "4.18.52",
    "nodes": [NODE],
    "gpuOperator": {"version": "26.7.0", "namespace": "nvidia-gpu-operator"},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema 2"),
        ({"gpuOperator": {}}, "gpuOperator: version, namespace missing"),
        ({"nodes": [{"name": "a"}]}, r"nodes\[0\]: role missing"),
        ({"nodes": [{**NODE, "color": 1}]}, r"nodes\[0\]: unknown keys color"),
        ({"nodes": [{**NODE, "role": "quantum"}]}, "gpu-1: role 'quantum'"),
        ({"nodes": [{**NODE, "gpus": 99}]}, "gpu-1: gpus"),
        ({"nodes": [NODE, NODE]}, "gpu-1 named twice"),
        ({"nodes": [{**NODE, "migConfig": "1g.18gb"}]}, "gpu-1: migConfig '1g.18gb' is none like"),
        ({"nodes": [{**NODE, "replicas": 0}]}, "gpu-1: replicas are 1 to 64"),
        ({"nodes": ["gpu-1"]}, r"nodes\[0\]: an object"),
        ({"olm": {"catalogs": {"c:1": [{"name": "x"}]}}}, r"olm.catalogs\[c:1\]\[0\]: schema and name"),
        ({"olm": {"catalogs": {}, "installed": [INSTALLED]}}, r"olm.installed\[0\]: no catalog.* holds a.v1.0.0"),
        ({"machineConfig": {"pools": [{"name": "canary"}]}}, r"machineConfig.pools\[0\]: nodeSelector missing"),
        ({"olm": {"sources": []}}, "olm: catalogs missing"),
        ({"tenants": [{"name": "a", "namespace": "a", "workloads": [BARE_POD]}]}, "Pod"),
    ],
)  # fmt: skip
def test_a_broken_seed_is_refused_with_the_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SeedError, match=words):
        parse({**GOOD, **change})


def test_without_openshift_there_is_nothing_of_openshift() -> None:
    kinds = {obj["kind"] for obj in all_objects(parse({**GOOD, "openshift": ""}))}
    assert not kinds & {"ClusterVersion", "MachineConfigPool"}
    assert kinds >= {"Node", "Namespace", "DaemonSet"}


def test_the_driver_images_os_tag_follows_openshift() -> None:
    assert operating_system(parse(GOOD).openshift)[0] == "rhcos4.18"
    assert operating_system("")[0] == "rhel9.4"

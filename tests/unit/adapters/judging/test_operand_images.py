"""Operands' images are composed where their object names them; whose images nothing names is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.adapters.judging.test_image_list import Fake, cluster

from knowngood.adapters.judging import operand_images
from knowngood.adapters.judging.image_list import Machine
from knowngood.adapters.kubernetes.client import path
from knowngood.cli.matrix_source import at

ROOT = Path(__file__).parents[4]
NODES = [Machine("a", "rhcos", "4.18", "5.14", "amd64"), Machine("b", "rhcos", "4.18", "5.14", "arm64")]
DCGM = "m.example.com/nvidia/dcgm-exporter"


def test_an_operand_is_asked_for_and_each_operator_and_chart_is_told() -> None:
    """The example that declares nearly all that can move."""
    kube, source = Fake(), at(ROOT / "matrix")
    par, release = source.cluster("par-prod"), source.release("r580-platform").components
    specs = source.matrix.movers
    policy = {
        "dcgmExporter": {"repository": "m.example.com/nvidia", "image": "dcgm-exporter", "version": "1"}
    }
    kube.put(path("nvidia.com/v1", "clusterpolicys", "gpu-cluster-policy"), {"spec": policy})
    found = operand_images.coming(kube, par, release, specs, NODES)
    assert found.images == {f"{DCGM}:4.6.0-4.8.3-distroless": {"amd64", "arm64"}}
    assert {"gpu-operator", "kueue", "kai-scheduler", "powerscale-csi", "gds"} <= set(found.unasked)
    assert not {"dcgm-exporter", "nvidia-driver", "doca-ofed", "openshift", "rdma-mode"} & set(found.unasked)
    (declared,) = (d for d in par.declarations if d.component == "dcgm-exporter")
    at_digest = replace(declared, texts={release["dcgm-exporter"]: {declared.path: "sha256:ab"}})
    found = operand_images.coming(kube, cluster(at_digest), release, specs, NODES)
    assert set(found.images) == {f"{DCGM}@sha256:ab"}

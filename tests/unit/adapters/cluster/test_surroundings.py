"""What a run needs beside rights and drivers is asked for only where it needs it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.engine.scene import a_cluster

from knowngood.adapters.cluster.surroundings import SCC, no_place_for_probes
from knowngood.adapters.kubernetes.client import path
from knowngood.model.names import NAMESPACE, PROBE_ACCOUNT

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{PROBE_ACCOUNT}"
SERVED = [{"name": "securitycontextconstraints", "kind": "SecurityContextConstraints", "namespaced": False}]


def openshift(constraints: dict[str, Any] | None) -> FakeKube:
    """deploy/base is applied; deploy/openshift as far as `constraints` say."""
    kube = FakeKube()
    kube.collections |= {"serviceaccounts"}
    kube.put(path("v1", "namespaces", NAMESPACE), {"metadata": {"name": NAMESPACE}})
    kube.put(path("v1", "serviceaccounts", PROBE_ACCOUNT, NAMESPACE), {"metadata": {"name": PROBE_ACCOUNT}})
    kube.put(path("security.openshift.io/v1", ""), {"resources": SERVED})
    if constraints is not None:
        kube.put(SCC, {"metadata": {"name": PROBE_ACCOUNT}, **constraints})
    return kube


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        (None, "there is none: whether other constraints admit a probe is not known"),
        ({"users": []}, f"it does not name {ACCOUNT}"),
        ({"users": [ACCOUNT]}, ""),
    ],
)
def test_what_admits_a_probe_matters_only_to_gates_that_send_one(
    constraints: dict[str, Any] | None, said: str
) -> None:
    kube = openshift(constraints)
    cluster = a_cluster()
    assert [
        one.what for one in no_place_for_probes(kube, cluster, ("smoke",)) if one.where.startswith("Sec")
    ] == ([said] if said else [])
    assert list(no_place_for_probes(kube, cluster, ())) == []

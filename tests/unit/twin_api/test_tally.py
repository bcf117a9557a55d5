"""What was asked is counted by who asked and for what kind of thing, never by its name."""

from __future__ import annotations

import pytest

from knowngood.twin.api.tally import shape


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/api/v1/nodes", "nodes"),
        ("/api/v1/nodes/gpu-1", "nodes/*"),
        ("/api/v1/nodes/gpu-1/proxy/logs/journal", "nodes/*/proxy/logs/journal"),
        ("/api/v1/namespaces/vision", "namespaces/*"),
        ("/api/v1/namespaces/vision/pods/serve-1/eviction", "pods/*/eviction"),
        ("/apis/batch/v1/namespaces/knowngood/jobs", "jobs"),
        ("/apis/batch/v1", "discovery"),
        ("/api", "discovery"),
    ],
)
def test_a_request_is_counted_by_its_shape(path: str, wanted: str) -> None:
    assert shape(path) == wanted

"""What is kept of nodes and pods that are read by the thousand: the same shape, a tenth of the memory. Pure.

A node carries the names of all its images and pages of other operators' annotations, a pod its volumes and environment.
None of it is looked at, so it goes as soon as its page is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from knowngood.adapters.cluster.actors import OTHERS_ANNOTATIONS
from knowngood.model.values import Values

Object = dict[str, Any]
METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
)


def node(found: Values) -> Object:
    """A node: metadata with the annotations that somebody reads, taints, cordon, readiness, boot, allocatable."""
    metadata, status = found["metadata"], found.get("status") or {}
    kept = _metadata(metadata)
    annotations = metadata.get("annotations") or {}
    kept["annotations"] = {k: v for k, v in annotations.items() if k.startswith(OTHERS_ANNOTATIONS)}
    return {
        "metadata": kept,
        "spec": _some(found.get("spec") or {}, ("taints", "unschedulable")),
        "status": {
            "conditions": _of_type(status.get("conditions") or (), "Ready"),
            **_some(status, ("nodeInfo", "allocatable")),
        },
    }


def pod(found: Values) -> Object:
    """A pod: whose it is, where it is, how its containers do, and their images."""
    spec, status = found.get("spec") or {}, found.get("status") or {}
    metadata = found["metadata"]
    containers = [_some(c, ("name", "image")) for c in spec.get("containers") or ()]
    return {
        "metadata": {**_metadata(metadata), **_some(metadata, ("annotations",))},
        "spec": {**_some(spec, ("nodeName",)), "containers": containers},
        "status": {
            "conditions": _of_type(status.get("conditions") or (), "Ready"),
            **_some(status, ("phase",)),
            **{
                key: [_some(c, ("name", "imageID", "state")) for c in status.get(key) or ()]
                for key in ("containerStatuses", "initContainerStatuses")
            },
        },
    }


def _metadata(metadata: Values) -> Object:
    kept = _some(metadata, METADATA)
    # A thousand nodes have the same hundred labels: each text is kept once.
    kept["labels"] = {_once(k): _once(v) for k, v in (metadata.get("labels") or {}).items()}
    return kept


def _once(text: Any) -> Any:
    return sys.intern(text) if isinstance(text, str) else text


def _some(values: Values, keys: Iterable[str]) -> Object:
    return {key: values[key] for key in keys if key in values}


def _of_type(conditions: Iterable[Values], kind: str) -> list[Object]:
    return [_some(c, ("type", "status")) for c in conditions if c.get("type") == kind]

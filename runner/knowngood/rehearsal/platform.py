"""OpenShift itself in a rehearsal: the releases that its mirror holds, and the pools that bring them to nodes. Pure.

Its part of the seed is there where the cluster file declares a release; elsewhere the ClusterVersion rests.
"""

from __future__ import annotations

import re

from knowngood.model.matrix import Declaration
from knowngood.model.names import BACKUP_ANNOTATION, RING_LABEL
from knowngood.model.values import Object
from knowngood.planner.readiness.rights import RELEASE
from knowngood.planner.rules.evaluation import in_range
from knowngood.rehearsal.at_rest import AtRest

KERNEL = "rhcos-kernel"


def played(rest: AtRest) -> Object:
    """The seed's parts `machineConfig` and `clusterVersion`; the pools of a cluster at rest are there by themselves."""
    if not rest.openshift:
        return {}
    declared = next((d for d in rest.cluster.declarations if d.kind == RELEASE), None)
    if declared is None:
        return {"machineConfig": {}}
    return {
        "machineConfig": {"pools": _pools(rest)},
        "clusterVersion": {"payloads": _payloads(rest, declared), "backupAnnotation": BACKUP_ANNOTATION},
    }


def _pools(rest: AtRest) -> list[Object]:
    """A pool a ring: only so can one ring boot, and the next one wait."""
    return [
        {"name": ring.name, "nodeSelector": {RING_LABEL: ring.name}, "maxUnavailable": ring.batch}
        for ring in rest.cluster.rings
    ]


def _payloads(rest: AtRest, declared: Declaration) -> list[Object]:
    """Each release whose image the cluster file names, with the kernel that goes with it."""
    return [
        {"version": version, "image": image, "kernel": kernel_of(rest, declared.component, version)}
        for version, image in declared.images.items()
    ]


def kernel_of(rest: AtRest, leader: str, version: str) -> str:
    """What `uname -r` says under a release: as the pinned one says it, else its minor's with a build of its own.

    "" as before. Builds differ in their kernel's last numbers: DOCA-OFED's DaemonSet is named by the kernel and serves
    one build only, so that of two builds with one kernel the nodes of one are without its pod.
    """
    if version == rest.release.components.get(leader):
        return reported_kernel(rest.release.components.get(KERNEL, ""))
    known = rest.components.get(KERNEL)
    follows = known.follows if known else None
    if follows is None or follows.component != leader:
        return ""
    scheme = rest.components[leader].scheme
    found = (kernel for text, kernel in follows.versions.items() if in_range(scheme, text, version))
    base, dot, system = next(found, "").partition(".el")
    return reported_kernel(f"{base}.{version.rpartition('.')[2]}.1{dot}{system}") if dot else ""


def reported_kernel(declared: str) -> str:
    """What `uname -r` says for a kernel package's version: Red Hat's also name the architecture, before their build."""
    red_hat = re.fullmatch(r"(.*\.el\d+(?:_\d+)?)(\+.*)?", declared)
    return f"{red_hat[1]}.x86_64{red_hat[2] or ''}" if red_hat else declared

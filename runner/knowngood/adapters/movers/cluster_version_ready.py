"""Why a cluster could not go to another release now, or come back from it: asked before anything is committed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from knowngood.adapters.clock import timestamp
from knowngood.adapters.cluster.actors import annotation
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import pools_ready
from knowngood.model import names
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Moving
from knowngood.model.values import Values
from knowngood.planner.edges.path import minor

WHERE = "ClusterVersion version"
SIGNATURES = path("v1", "configmaps", "", "openshift-config-managed")
SIGNED = "release.openshift.io/verification-signatures"
"""On ConfigMaps of signatures; their keys begin with the image's digest, a hyphen for its colon
(openshift/library-go pkg/verify/store/configmap)."""
KUBERNETES_AHEAD = 13
"""OpenShift 4.N brings Kubernetes 1.(N + 13), from 4.3 on (its release notes)."""
_KUBELET = re.compile(r"v1\.(\d+)\.")
BACKUP_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about. `version` is the live ClusterVersion."""

    kube: Kube
    cluster: Cluster
    moving: Moving
    version: Object

    @property
    def is_minor(self) -> bool:
        """Whether it leaves its minor."""
        return minor(self.moving.before) != minor(self.moving.after)

    def image(self, version: str) -> str:
        """The release image that the cluster file names for a version."""
        found = (
            d.images.get(version, "")
            for d in self.cluster.declarations
            if d.component == self.moving.component
        )
        return next(found, "")


def missing() -> Finding:
    """There is nothing to move."""
    return refused(WHERE, "there is none on this cluster", "see the cluster file's declare")


def forth(asked: Asked) -> Iterator[Finding]:
    """What stands in the way of the release that is asked for."""
    yield from _at_rest(asked)
    yield from _taken_as(asked)
    yield from _skew(asked)
    yield from _toolkit(asked)
    yield from _operators(asked)
    yield from pools_ready.rolling(asked.kube)
    yield from pools_ready.of_rings(asked.kube, asked.cluster)
    yield from _backup(asked)


def back(asked: Asked) -> Iterator[Finding]:
    """What would stand in the way of the version before: the product knows one step back within a minor."""
    if asked.is_minor:
        yield refused(WHERE, f"from {asked.moving.before} no way leads back to {asked.moving.after}")
    elif not asked.image(asked.moving.after):
        yield _unnamed(asked, asked.moving.after)


def _said(asked: Asked, kind: str) -> Values:
    conditions = (asked.version.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


def _at_rest(asked: Asked) -> Iterator[Finding]:
    """The version before is complete, nothing is on its way, nothing waits, and nobody forces."""
    history = (asked.version.get("status") or {}).get("history") or ()
    newest, before = history[0] if history else {}, asked.moving.before
    if (newest.get("version"), newest.get("state")) != (before, "Completed"):
        stands = f"{newest.get('version', 'nothing')} is {newest.get('state', 'not there')}"
        what = f"{stands}, the plan starts from {before}"
        yield refused(WHERE, what, "wait until the update is done, or plan again", passes=True)
    for kind, bad in (
        ("Progressing", "True"),
        ("Failing", "True"),
        ("ReleaseAccepted", "False"),
        ("Invalid", "True"),
    ):
        said = _said(asked, kind)
        if said.get("status") == bad:
            yield refused(
                WHERE, f"{kind} is {bad}: {said.get('message', '')}", "mend what it names", passes=True
            )
    if (asked.version["spec"].get("desiredUpdate") or {}).get("force"):
        yield refused(WHERE, "spec.desiredUpdate.force is set: it passes every check", "take it out of Git")


def _taken_as(asked: Asked) -> Iterator[Finding]:
    """The operator would take it: a minor is allowed, the image is named by digest, and its signature is there."""
    said = _said(asked, "Upgradeable")
    if asked.is_minor and said.get("status") == "False":
        hint = "mend what it names; an acknowledgement goes to admin-acks in openshift-config, by Git"
        yield refused(
            WHERE, f"Upgradeable is False ({said.get('reason', '')}): {said.get('message', '')}", hint
        )
    image = asked.image(asked.moving.after)
    if not image:
        yield _unnamed(asked, asked.moving.after)
    elif not _signed(asked, image):
        what = f"no ConfigMap in openshift-config-managed has a signature of {image}"
        yield from _without_internet(asked, WHERE, what, "apply what oc-mirror wrote beside the images")


def _skew(asked: Asked) -> Iterator[Finding]:
    """No kubelet may be further behind the new control plane than the product takes.

    Kubernetes takes three minors (its version skew policy); OpenShift two where the release is even, one where it is
    odd: that is what one boot over two minors rests on.
    """
    if not asked.is_minor:
        return
    release = int(minor(asked.moving.after).split(".")[1])
    served, most = release + KUBERNETES_AHEAD, 2 - release % 2
    behind: dict[int, list[str]] = {}
    for node in asked.kube.list(path("v1", "nodes")):
        told = str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")
        found = _KUBELET.match(told)
        if found and served - int(found[1]) > most:
            behind.setdefault(int(found[1]), []).append(str(node["metadata"]["name"]))
    for old, names_ in sorted(behind.items()):
        what = (
            f"their kubelets are of 1.{old}, and a control plane of {asked.moving.after} serves 1.{served}: that is"
            f" {served - old} minors behind, {asked.moving.after} takes {most}"
        )
        yield refused(f"node {', '.join(names_)}", what, "have their pool roll first: unpause it")


def _toolkit(asked: Asked) -> Iterator[Finding]:
    """Drivers are built on each node by the release's own toolkit: who mirrors the one must mirror the other.

    Whether a registry has it is the gate `registry`'s to ask.
    """
    declared = [d for d in asked.cluster.declarations if d.component == asked.moving.component]
    if any(asked.moving.after in d.toolkits for d in declared):
        return
    what = (
        f"no driver-toolkit image of {asked.moving.after} is named, by which drivers are built on its nodes"
    )
    hint = "oc adm release info --image-for=driver-toolkit says it; mirror it, and name it by digest"
    yield from _without_internet(asked, f"declare.{asked.moving.component}.toolkits", what, hint)


def _without_internet(asked: Asked, where: str, what: str, hint: str) -> Iterator[Finding]:
    """What is in the way where nothing comes from outside; who does not say whether it does gets no yes."""
    trait = asked.cluster.traits.get("disconnected")
    if trait == "true":
        yield refused(where, what, hint)
    elif trait != "false":
        why = f"{what}, and whether it can come from outside is not said"
        yield unknown(where, why, f'say traits.disconnected in the cluster file; where it is "true": {hint}')


def _unnamed(asked: Asked, version: str) -> Finding:
    where = f"declare.{asked.moving.component}.images"
    return refused(
        where, f"no release image of {version} is named", "name it by digest, as the mirror has it"
    )


def _signed(asked: Asked, image: str) -> bool:
    digest = image.rpartition("@")[2].replace(":", "-")
    found = asked.kube.list(SIGNATURES, labels=SIGNED)
    keys = (key for one in found for part in ("binaryData", "data") for key in one.get(part) or ())
    return bool(digest) and any(str(key).startswith(digest) for key in keys)


def _operators(asked: Asked) -> Iterator[Finding]:
    found = asked.kube.list(path("config.openshift.io/v1", "clusteroperators"))
    if not found:
        yield unknown(
            "ClusterOperators", "there is none, so nobody says how they are", "see oc get clusteroperators"
        )
    for operator in found:
        conditions = (operator.get("status") or {}).get("conditions") or ()
        said = {c["type"]: c["status"] for c in conditions}
        where = f"ClusterOperator {operator['metadata']['name']}"
        if said.get("Available") != "True":
            yield refused(where, "it is not Available", "mend it first", passes=True)
        if said.get("Degraded") == "True":
            yield refused(where, "it is Degraded", "mend it first: an update would stop there", passes=True)


def _backup(asked: Asked) -> Iterator[Finding]:
    """A backup of etcd from the last day, by the word of whoever took it: an RFC 3339 time on the ClusterVersion."""
    text = annotation(asked.version, names.BACKUP_ANNOTATION)
    hint = f"take one, then: oc annotate clusterversion version --overwrite {names.BACKUP_ANNOTATION}=TIME"
    try:
        taken = datetime.fromisoformat(text)
    except ValueError:
        yield unknown(
            "etcd", f"nobody says when its last backup was taken{f' ({text})' if text else ''}", hint
        )
        return
    if taken.tzinfo is None:
        yield unknown("etcd", f"its last backup was taken at {text}, of no time zone", hint)
    elif not timedelta() <= datetime.fromisoformat(timestamp()) - taken <= BACKUP_AGE:
        yield refused("etcd", f"its last backup was taken at {text}, which is not within the last day", hint)

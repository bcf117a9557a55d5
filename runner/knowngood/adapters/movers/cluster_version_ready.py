"""Why a cluster could not go to another release now, or come back from it: asked before anything is committed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from knowngood.adapters.clock import timestamp
from knowngood.adapters.cluster import held
from knowngood.adapters.cluster.actors import annotation
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import pools
from knowngood.adapters.movers.pools import Pool
from knowngood.model import names
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster, Ring
from knowngood.model.mover import Moving
from knowngood.model.values import Values
from knowngood.planner.edges.path import minor

WHERE = "ClusterVersion version"
SIGNATURES = path("v1", "configmaps", "", "openshift-config-managed")
SIGNED = "release.openshift.io/verification-signatures"
"""On ConfigMaps of signatures; their keys begin with the image's digest, a hyphen for its colon
(openshift/library-go pkg/verify/store/configmap)."""
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
    yield from _toolkit(asked)
    yield from _operators(asked)
    yield from _pools(asked)
    yield from _rings(asked)
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


def _pools(asked: Asked) -> Iterator[Finding]:
    """A required pool that is paused never ends an update, and one degraded pool of any kind stops it."""
    for pool in pools.pools(asked.kube):
        where = f"MachineConfigPool {pool.name}"
        if pool.required and pool.paused:
            yield refused(where, "it is paused, and an update waits for it without end", "unpause it")
        if pool.degraded:
            yield refused(where, f"it is Degraded: {pool.degraded}", "mend it first")
        elif not pool.paused and not pool.is_updated:
            yield refused(
                where, "its nodes do not have its config yet", "wait until it is Updated", passes=True
            )


def _rings(asked: Asked) -> Iterator[Finding]:
    """A pool is unpaused as a whole: it must hold one ring's nodes and no other's, and let all of them out at once."""
    nodes, objects = asked.kube.list(path("v1", "nodes")), pools.objects(asked.kube)
    has, known = pools.members(objects, nodes), {pool.name: pool for pool in map(pools.Pool.of, objects)}
    ours = {str(found["metadata"]["name"]) for found in objects if held.term(found)}
    rings = {node: ring for ring in asked.cluster.rings for node in ring.nodes}
    if not objects:
        yield unknown("MachineConfigPools", "there is none, so nobody moves the nodes", "see oc get mcp")
        return
    placed = {node for name, its in has.items() if name for node in its}
    if alone := [node for node in rings if node not in placed]:
        hint = "see the nodeSelector of the pools, and the nodes' labels"
        yield refused(f"node {', '.join(alone)}", "it belongs to no MachineConfigPool", hint)
    for name, members in has.items():
        if not name:
            continue
        of = {rings[node].name: rings[node] for node in members if node in rings}
        strange = [node for node in members if node not in rings]
        where = f"MachineConfigPool {name}"
        if of and (len(of) > 1 or strange):
            who = ", ".join([*sorted(of), *strange])
            hint = "give each ring a pool of its own, by a nodeSelector on the ring's label"
            yield refused(where, f"it holds nodes of {who} together", hint)
        elif of:
            (ring,) = of.values()
            yield from _at_once(where, ring, known[name])
            if known[name].paused and name not in ours:
                yield refused(
                    where, "somebody paused it, so it would not be let go", "find out why, and unpause it"
                )
            if name in ours and not known[name].paused:
                # Asked again before a later hop: that commit would boot all of its nodes at once.
                what = "a run holds it and has let it go already, so its nodes would boot at once, undrained"
                hint = "one release a run: once every node is updated, knowngood clear --holds, then upgrade again"
                yield refused(where, what, hint)


def _at_once(where: str, ring: Ring, pool: Pool) -> Iterator[Finding]:
    """Once let go it takes every node that is not cordoned: all of the ring must be drained by then, and may be out."""
    if ring.batch < len(ring.nodes):
        what = (
            f"let go, it moves all {len(ring.nodes)} nodes of {ring.name}, and a batch of it has {ring.batch}"
        )
        yield refused(
            where, what, "make the batch as large as the ring, or more rings of it, each with a pool"
        )
    elif not pool.count:
        yield unknown(
            where, f"it counts none of {ring.name}'s nodes", "wait until the operator has looked at it"
        )
    elif pool.most < len(ring.nodes):
        what = f"it lets {pool.most} node{'s' * (pool.most > 1)} out at once, and {ring.name} has {len(ring.nodes)}"
        yield refused(where, what, f"set its maxUnavailable to {len(ring.nodes)}")


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

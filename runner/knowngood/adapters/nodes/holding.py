"""Holds on a cluster: other actors paused, kept paused and let go, each by one conditional patch of its object."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from knowngood.adapters.clock import pause, timestamp
from knowngood.adapters.cluster import actors, held, silences
from knowngood.adapters.cluster.held import NODE, POOL, Pausable
from knowngood.adapters.cluster.reader import FEW
from knowngood.adapters.cluster.silences import Silences
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.alerts import NONE, Alertmanager
from knowngood.model.errors import CouldNot, UsageError
from knowngood.model.node import Leftover
from knowngood.planner.holding import certificates_end, matches, pool_of, way_on, worn
from knowngood.ports.holds import Holds, LetGo, Taken, Term

TRIES = 10
"""Other controllers write the status of the same objects; each patch that meets one of those is built anew."""
CONTROLLER_CONFIG = path(
    "machineconfiguration.openshift.io/v1", "controllerconfigs", "machine-config-controller"
)
MACHINES = path("machine.openshift.io/v1beta1", "machines")
AUTOSCALERS = path("autoscaling.openshift.io/v1", "clusterautoscalers")

Change = Callable[[Object], Object | None]
"""The merge patch that an object needs, None where it needs none."""


def standing(kube: Kube, alerts: Alertmanager = NONE) -> list[Leftover]:
    """Every hold that stands on this cluster, whosever it is."""
    found = held.leftovers(kube, kube.list(path("v1", "nodes"), keep=_slim))
    return [*found, *Silences(kube, alerts).leftovers()]


class KubeHolds(Holds):
    """The holds of one cluster."""

    def __init__(self, kube: Kube, alerts: Alertmanager = NONE) -> None:
        self._kube = kube
        self._alerts = alerts
        self._certificates: Sequence[Object] | None = None
        self._silences = Silences(kube, alerts)

    def bound(self, kinds: Collection[str]) -> tuple[str, str]:
        """See the port: the certificates that a node's machine-config daemon renews.

        They are read once: while its pool is paused none of them is renewed.
        """
        if POOL.hold not in kinds:
            return "", ""
        if self._certificates is None:
            found = self._kube.find(CONTROLLER_CONFIG) or {}
            self._certificates = (found.get("status") or {}).get("controllerCertificates") or ()
        end = certificates_end(self._certificates, timestamp())
        return (
            (end, f"a paused pool renews no certificates, and the first ends at {end}") if end else ("", "")
        )

    def take(self, kinds: Collection[str], nodes: Sequence[str], term: Term) -> Taken:
        """See the port."""
        objects = self._objects(nodes)
        ours: list[str] = []
        others: list[str] = []
        busy: dict[str, str] = {}
        failed: dict[str, str] = {}
        for pausable, item in self._concerned(kinds, objects):
            called, hold = pausable.called(item), held.term(item)
            if hold and hold.run != term.run:
                on = way_on(held.starts(pausable, item))
                busy[called] = f"run {hold.run} holds it until {hold.until}; {on}"
            elif not hold and pausable.paused(item):
                others.append(called)
            elif pausable is POOL and (not hold or held.rolls(item)) and (rolling := _rolling(item)):
                busy[called] = rolling
            elif why := self._tried(pausable, item, partial(_taken_anew, pausable, term)):
                failed[called] = why
            else:
                ours.append(called)
        if silences.HOLD not in kinds:
            return Taken(tuple(ours), tuple(others), busy, failed)
        if not self._silences.there:
            return Taken(tuple(ours), tuple(others), busy, failed, (silences.NOBODY,))
        silenced, loud = self._silences.take(nodes, term)
        return Taken((*ours, *silenced), tuple(others), busy, {**failed, **loud})

    def keep(self, kept: Sequence[str], term: Term) -> Mapping[str, str]:
        """See the port."""
        quiet = [called for called in kept if called.startswith(f"{silences.KIND} ")]
        kept = [called for called in kept if called not in quiet]
        found = self._silences.keep(quiet, term)
        many = self._many(kept)
        for called in kept:
            pausable, name = held.by_name(called)
            item = many.get(called) or self._kube.find(pausable.where(name))
            hold = held.term(item) if item else None
            if item is None or (hold and hold.run != term.run):
                found[called] = f"run {hold.run} holds it now" if hold else "it is gone"
                continue
            if hold is None or not pausable.stands(item):
                found[called] = "somebody had it go on: held again"
            if why := self._tried(pausable, item, partial(_taken, pausable, term)):
                raise CouldNot(f"{called} could not be held: {why}")
        return found

    def _many(self, kept: Sequence[str]) -> dict[str, Object]:
        """Nodes, where they are many: by one list."""
        nodes = [called for called in kept if held.by_name(called)[0] is NODE]
        if len(nodes) <= FEW:
            return {}
        return {NODE.called(node): node for node in self._kube.list(path("v1", "nodes"), keep=_slim)}

    def standing(self) -> list[Leftover]:
        """See the port."""
        return standing(self._kube, self._alerts)

    def let_go(self, kinds: Collection[str], run: str) -> LetGo:
        """See the port."""
        done: list[str] = []
        failed: dict[str, str] = {}
        for pausable, item in self._held_by(kinds, run):
            if why := self._tried(pausable, item, partial(_let_go, pausable, run)):
                failed[pausable.called(item)] = why
            else:
                done.append(pausable.called(item))
        gone = self._silences.let_go(run) if silences.HOLD in kinds else LetGo()
        return LetGo((*done, *gone.done), {**failed, **gone.failed})

    def _held_by(self, kinds: Collection[str], run: str) -> Iterator[tuple[Pausable, Object]]:
        found = [(p, item) for p, item in held.paused_objects(self._kube) if p.hold in kinds]
        if NODE.hold in kinds:
            found += [(NODE, node) for node in self._kube.list(path("v1", "nodes"), keep=_slim)]
        for pausable, item in found:
            hold = held.term(item)
            if hold and hold.run == run:
                yield pausable, item

    def _objects(self, nodes: Sequence[str]) -> dict[str, Object]:
        """The nodes, as far as they are needed here."""
        wanted = set(nodes)
        found = self._kube.list(path("v1", "nodes"), keep=_slim)
        return {n["metadata"]["name"]: n for n in found if n["metadata"]["name"] in wanted}

    def _concerned(
        self, kinds: Collection[str], nodes: Mapping[str, Object]
    ) -> Iterator[tuple[Pausable, Object]]:
        """The objects of these kinds that act on these nodes."""
        found = [(p, item) for p, item in held.paused_objects(self._kube) if p.hold in kinds]
        pools = _selectors(item for p, item in found if p is POOL)
        ours = {pool_of(pools, held.labels(node)) for node in nodes.values()}
        machines = self._machines(nodes) if any(p is held.MACHINE_CHECK for p, _ in found) else []
        labels = [held.labels(node) for node in nodes.values()]
        for pausable, item in found:
            selector = (item.get("spec") or {}).get("selector") or {}
            if pausable is POOL:
                concerned = item["metadata"]["name"] in ours
            else:
                selected = machines if pausable is held.MACHINE_CHECK else labels
                concerned = any(matches(selector, one) for one in selected)
            if concerned:
                yield pausable, item
        if NODE.hold in kinds and self._autoscales():
            yield from ((NODE, node) for node in nodes.values())

    def _machines(self, nodes: Mapping[str, Object]) -> list[Mapping[str, str]]:
        """The labels of the Machines behind these nodes."""
        found = actors.optional(self._kube, MACHINES)
        return [held.labels(m) for m in found if _node_of(m) in nodes]

    def _autoscales(self) -> bool:
        return bool(actors.optional(self._kube, AUTOSCALERS))

    def _tried(self, pausable: Pausable, seen: Object, change: Change) -> str:
        """Patch an object as `change` wants, again where somebody wrote it meanwhile; why it could not be, or ""."""
        item: Object | None = seen
        where = pausable.where(pausable.called(seen).partition(" ")[2])
        for attempt in range(TRIES):
            if item is None or (body := change(item)) is None:
                return ""
            metadata = {**body.get("metadata", {}), "resourceVersion": item["metadata"]["resourceVersion"]}
            try:
                self._kube.merge(where, {**body, "metadata": metadata})
            except ApiError as error:
                if error.code not in {404, 409}:
                    return str(error)
            except UsageError as error:  # a right that we lack
                return str(error)
            else:
                return ""
            time.sleep(pause(attempt / 2, 1.0))
            item = self._kube.find(where)
        return f"it changed {TRIES} times while we tried to patch it"


def _taken(pausable: Pausable, term: Term, item: Object) -> Object | None:
    """The patch that makes an object ours and paused, with this term; None where it is so for long enough."""
    stands, hold = pausable.stands(item), held.term(item)
    if stands and hold and not worn(hold.until, timestamp(), term.until):
        return None
    return _joined({} if stands else pausable.pause(item), held.written(term))


def _taken_anew(pausable: Pausable, term: Term, item: Object) -> Object | None:
    """The same; and a pool that the run had let go for its ring is paused again, before what moves it next."""
    if not held.rolls(item):
        return _taken(pausable, term, item)
    paused = {**pausable.pause(item), "metadata": {"annotations": {names.ROLLS_ANNOTATION: None}}}
    return _joined(paused, held.written(term))


def _let_go(pausable: Pausable, run: str, item: Object) -> Object | None:
    """The patch that lets an object go on; None where it is no hold of this run any more."""
    hold = held.term(item)
    if hold is None or hold.run != run:
        return None
    return _joined(pausable.resume(item) if pausable.stands(item) else {}, None)


def _joined(body: Object, text: str | None) -> Object:
    metadata = body.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), names.HOLD_ANNOTATION: text}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def _selectors(pools: Iterator[Object]) -> dict[str, Object]:
    return {str(p["metadata"]["name"]): (p.get("spec") or {}).get("nodeSelector") or {} for p in pools}


def _rolling(pool: Object) -> str:
    """Why a pool must not be paused now: a node of it is on its way, and would be finished or left half way.

    One that a run let go for its ring must be done with it, since what comes next starts from there.
    """
    said = {c.get("type"): c.get("status") for c in (pool.get("status") or {}).get("conditions") or ()}
    if said.get("Updating") == "True":
        return "it is updating its nodes: wait until it is done"
    if held.rolls(pool) and said.get("Updated") != "True":
        return "it was let go for its ring, and its nodes do not all have its config"
    return ""


def _node_of(machine: Object) -> str:
    return str(((machine.get("status") or {}).get("nodeRef") or {}).get("name") or "")


def _slim(node: Object) -> Object:
    keep = ("name", "labels", "annotations", "resourceVersion")
    return {"metadata": {key: node["metadata"].get(key) for key in keep}}

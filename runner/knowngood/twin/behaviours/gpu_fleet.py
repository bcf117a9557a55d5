"""Which NVIDIADriver should have which node, and which pools each has: kept up node by node. Pure.

As upstream: a selective object beats the default one; two selective ones on one node stop all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knowngood.twin.behaviours.gpu_manifests import OWNER_LABEL, PRESENT_LABEL
from knowngood.twin.behaviours.kube import GPU_PCI_LABEL, OSTREE_LABEL, name_of
from knowngood.twin.behaviours.node_pools import RELEVANT, Pool, pool_of
from knowngood.twin.values import Object

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What of a driver's spec decides on nodes."""

    selector: Mapping[str, str]
    default: bool
    precompiled: bool

    def takes(self, labels: Labels) -> bool:
        """Whether its nodeSelector matches."""
        return all(labels.get(key) == value for key, value in self.selector.items())


class Fleet:
    """All GPU nodes' labels against all drivers' selectors."""

    def __init__(self, *, openshift: bool) -> None:
        self._openshift = openshift
        self._rules: dict[str, _Rule] = {}
        self._nodes: dict[str, Labels] = {}
        self._pools: dict[str, Counter[Pool]] = {}  # driver -> pools of the nodes that it has
        self._conflicts: dict[str, tuple[str, ...]] = {}
        self.misplaced: set[str] = set()  # nodes whose owner label is not what it should be

    @property
    def trouble(self) -> str:
        """Why no driver at all may be worked on: "" where nothing stands against it."""
        for node in sorted(self._conflicts):
            names = " ".join(sorted(self._conflicts[node]))
            return f"multiple NVIDIADrivers match the same node {node}: [{names}]"
        return ""

    @property
    def defaults(self) -> tuple[str, ...]:
        """The objects that want to be the default one."""
        return tuple(name for name, rule in self._rules.items() if rule.default)

    def pools(self, driver: str) -> list[Pool]:
        """Of the nodes that are labelled as a driver's and that its selector takes."""
        return sorted(
            self._pools.get(driver, Counter()), key=lambda pool: (pool.tag, pool.build, pool.kernel)
        )

    def owner(self, node: str) -> str:
        """Whose a node should be; "" for nobody's."""
        labels = self._nodes.get(node, {})
        taking = [name for name, rule in self._rules.items() if not rule.default and rule.takes(labels)]
        return next(iter(taking or self.defaults), "")

    def set_driver(self, driver: Object) -> bool:
        """A driver is there, or has changed; whether that matters to any node."""
        spec, name = driver["spec"], name_of(driver)
        rule = _Rule(
            spec.get("nodeSelector") or {}, bool(spec.get("default")), bool(spec.get("usePrecompiled"))
        )
        if self._rules.get(name) == rule:
            return False
        self._rules[name] = rule
        self._anew()
        return True

    def drop_driver(self, name: str) -> bool:
        """A driver is gone; whether it was there."""
        if self._rules.pop(name, None) is None:
            return False
        self._anew()
        return True

    def set_node(self, name: str, labels: Labels) -> tuple[bool, bool]:
        """A node is there, or its labels have changed. (Whether owners are assigned anew, whether pools may differ.)

        Not every change of a label is looked at: a node without an owner, or of the default driver, that gets a
        ring's label waits for the next event.
        """
        old = self._nodes.get(name)
        if old == labels:
            return False, False
        self._leave(name)
        self._nodes[name] = labels
        self._join(name)
        before: Labels = old or {}
        if old is None:
            return True, True
        changed = {key for key in {*before, *labels} if before.get(key) != labels.get(key)}
        mine = self._rules.get(labels.get(OWNER_LABEL, ""))
        decisive = {OSTREE_LABEL, OWNER_LABEL, PRESENT_LABEL, GPU_PCI_LABEL, *(mine.selector if mine else ())}
        named = {key for rule in self._rules.values() for key in rule.selector}
        return bool(changed & decisive), bool(changed & {*RELEVANT, *named})

    def drop_node(self, name: str) -> None:
        """A node is gone."""
        self._leave(name)
        self._nodes.pop(name, None)

    def _anew(self) -> None:
        self._pools, self._conflicts, self.misplaced = {}, {}, set()
        for name in self._nodes:
            self._join(name)

    def _join(self, name: str) -> None:
        labels = self._nodes[name]
        if labels.get(PRESENT_LABEL) != "true":
            return
        for driver, pool in self._memberships(labels):
            self._pools.setdefault(driver, Counter())[pool] += 1
        taking = tuple(d for d, rule in self._rules.items() if not rule.default and rule.takes(labels))
        if len(taking) > 1:
            self._conflicts[name] = taking
        elif self.owner(name) != labels.get(OWNER_LABEL, ""):
            self.misplaced.add(name)

    def _leave(self, name: str) -> None:
        self._conflicts.pop(name, None)
        self.misplaced.discard(name)
        for driver, pool in self._memberships(self._nodes.get(name, {})):
            count = self._pools[driver]
            count[pool] -= 1
            if not count[pool]:
                del count[pool]

    def _memberships(self, labels: Labels) -> Iterable[tuple[str, Pool]]:
        """The pools that a node is part of: one at most, of its owner's."""
        owner = labels.get(OWNER_LABEL, "")
        rule = self._rules.get(owner)
        if rule is not None and rule.takes(labels):
            pool = pool_of(labels, openshift=self._openshift, precompiled=rule.precompiled)
            if pool is not None:
                yield owner, pool

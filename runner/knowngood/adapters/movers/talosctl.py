"""The class talosctl: a drained machine's Talos is asked to take an image, and believed by what it runs after a boot.

No controller of the cluster does it, so we do. What is begun is written on the node before it is asked for: an image
that a machine has taken comes with its next boot, whoever boots it. talosctl's own end proves nothing (it hangs while
the upgrade goes on, talos issue 11830): a new boot does, on which kubelet and machine tell the version, and the driver.
The way back is the same, by the older image: which one the machine's other half holds can't be known before.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from knowngood.adapters.cluster import facts, readouts, talos
from knowngood.adapters.cluster.actors import annotation
from knowngood.adapters.cluster.reader import scalar_at
from knowngood.adapters.cluster.talos import Told
from knowngood.adapters.kubernetes.client import ApiError
from knowngood.adapters.movers.asking import NoPodError, files_and_log
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.watch import NOT_READY, UNREADABLE, Watch
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Task
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, Moving
from knowngood.model.names import FLASH_ANNOTATION
from knowngood.model.values import Object
from knowngood.planner.flash import Begun, begun_in
from knowngood.planner.moving import IMAGE, VERSION
from knowngood.planner.version import TEXT, runs

PINNED = re.compile(r"[^\s@-][^\s@]*@sha256:[0-9a-f]{64}")
"""An image by its digest: a tag can be pushed anew between the canary and the last ring."""
REFUSED = re.compile(r"exit code \d|pre-flight|not supported|not compatible", re.IGNORECASE)
"""Words of an installer that ran and said no; anything else may be the way to the machine."""
BOOT = ("grep", "-sH", "", readouts.BOOT_ID)
NO_DRIVER = "no driver was loaded on this boot: see that its image has the driver's extension"


@dataclass(frozen=True, slots=True)
class _State:
    """What is waited for, for how many seconds at most, and what it amounts to once that is over."""

    why: str
    limit: float
    kind: type[NodeFailed] = NodeFailed


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Have its Talos take the version, unless it runs, and wait for the boot and the proof."""
    (moving,) = turn.moves
    watch = Watch(task, name, turn.ends_at)
    system = _System(task, name, moving, watch)
    try:
        marks = watch.until(system.look, moving.spec.words.it, age=task.limits.apply)
    finally:
        system.stop()
    return Arrived(system.worked, watch.held, marks)


class _System:
    """One machine. `worked`: something was begun, by us or by the runner before us."""

    def __init__(self, task: Task, name: str, moving: Moving, watch: Watch) -> None:
        self._task, self._name, self._moving, self._watch = task, name, moving, watch
        node = task.ours(name)
        self._address, self._begun = talos.address_of(node), _begun_on(node, moving.component)
        self._upgrade: talos.Upgrade | None = None
        self._stands: tuple[str, float] = ("", 0.0)
        self.worked = self._begun is not None

    def look(self) -> tuple[Mapping[str, Mark] | None, str]:
        """Its mark, once it runs what is wanted on a boot since that was asked for."""
        found = self._next(self._watch.node)
        if not isinstance(found, _State):
            return {self._moving.component: found}, ""
        if self._stands[0] != found.why:
            self._stands = (found.why, time.monotonic())
        stood = time.monotonic() - self._stands[1]
        if stood >= found.limit:
            raise found.kind(f"{found.why} for {stood:.0f} s")
        return None, found.why

    def stop(self) -> None:
        """End the talosctl that is beside us."""
        if self._upgrade is not None:
            self._upgrade.stop()

    def _next(self, node: Object) -> Mark | _State:
        limits, begun, kubelet = self._task.limits, self._begun, talos.told_by(node)
        if not facts.node_ready(node):
            return _State(NOT_READY, limits.node_unreachable)
        if kubelet is None or not self._address:
            what = "its node tells no Talos that can be read, no boot, or no address"
            return _State(what, limits.operand_age, NotTold)
        if begun is None:
            return self._shown(kubelet) if self._wanted(kubelet) else self._start(kubelet)
        if begun.version != self._moving.after:  # it may come with any boot, so it is written over
            return self._start(kubelet)
        if kubelet.boot == begun.reset:
            return self._under_way()
        if not self._wanted(kubelet):
            what = f"it was booted since it took {begun.version}, and it runs {kubelet.version}"
            raise NodeFailed(f"{what}: it went back by itself")
        return self._shown(kubelet)

    def _start(self, kubelet: Told) -> Mark | _State:
        """Written down before it is asked, and asked only where the machine is the one that the node tells of."""
        if (otherwise := self._otherwise(kubelet)) is not None:
            return otherwise
        image = self._image()
        begun = Begun(self._moving.component, self._moving.after, reset=kubelet.boot)
        text = json.dumps(asdict(begun), sort_keys=True)
        claiming.note(self._task, self._name, FLASH_ANNOTATION, text)
        self._begun, self.worked = begun, True
        self._ask(image)
        return self._under_way()

    def _ask(self, image: str) -> None:
        self.stop()
        self._task.ours(self._name)
        try:
            self._upgrade = talos.Upgrade(self._address, image)
        except Unreachable as error:
            raise NotTold(str(error)) from error

    def _under_way(self) -> _State:
        """It has not booted since. A runner that was killed asks again: a machine at it takes no second one."""
        limits, what = self._task.limits, f"{self._moving.component} {self._moving.after}"
        if self._upgrade is None:
            self._ask(self._image())
        upgrade = self._upgrade
        if upgrade is None or (code := upgrade.ended) is None:
            return _State(f"its Talos takes {what}", limits.apply)
        if code == 0:
            return _State(f"its Talos has taken {what}, and it has not booted", limits.node_unreachable)
        if REFUSED.search(upgrade.words):
            raise NodeFailed(f"its Talos refuses {what}: {upgrade.words}")
        said = f"{talos.PROGRAM} ended with {code}: {upgrade.words}"
        return _State(f"whether its Talos takes {what} can't be told: {said}", limits.operand_age, NotTold)

    def _shown(self, kubelet: Told) -> Mark | _State:
        """The mark: the machine tells it, and the driver was loaded on that boot, whose judgement covers both."""
        if (otherwise := self._otherwise(kubelet)) is not None:
            return otherwise
        limit, boot = self._task.limits.operand_age, kubelet.boot
        try:
            read, lines = files_and_log(self._task, self._name, self._moving.spec, facts.DRIVER_PROOF, BOOT)
        except NoPodError as error:
            return _State(f"its driver did not come with the boot: {error}", limit)
        except (ApiError, Unreachable) as error:
            why = f"its driver or kernel log {UNREADABLE}: {type(error).__name__}"
            return _State(why, limit, NotTold)
        if (here := readouts.first(read, readouts.BOOT_ID)) != boot:
            return _State(f"its driver's pod tells boot {here or 'none'}, its kubelet {boot}", limit, NotTold)
        load = facts.last_load(lines)
        if load is None or load.boot_id != boot:
            return _State(NO_DRIVER, limit)
        if self._begun is not None:
            claiming.note(self._task, self._name, FLASH_ANNOTATION, None)
            self._begun = None
        return Mark(self._moving.after, boot, load.at)

    def _otherwise(self, kubelet: Told) -> _State | None:
        """Where the machine itself tells another version or boot than its kubelet, or nothing that can be read."""
        try:
            told = talos.tell(self._address)
        except Unreachable as error:
            return _State(f"its Talos {UNREADABLE}: {error}", self._task.limits.node_unreachable, NotTold)
        if told == kubelet:
            return None
        why = f"its Talos tells {told}, and its node {kubelet}"
        return _State(why, self._task.limits.operand_age, NotTold)

    def _wanted(self, told: Told) -> bool:
        return runs(self._moving.spec.scheme or TEXT, self._moving.after, told.version)

    def _image(self) -> str:
        """The image that Git declares for the version, by its digest. NotTold where it does not."""
        named, after = self._moving.declared_by, self._moving.after
        if named is None:
            raise NotTold("which object declares its image is not said")
        found = self._task.kube.find(
            self._task.kube.locate(named.api_version, named.kind, named.name, named.namespace)
        )
        fields = self._moving.spec.fields.get(named.kind, {})
        said = {template: scalar_at(found or {}, path) for path, template in fields.items()}
        if said.get(VERSION) != after:
            raise NotTold(f"{named} declares {said.get(VERSION) or 'nothing'}, not {after}")
        if not PINNED.fullmatch(image := said.get(IMAGE) or ""):
            raise NotTold(f"{named} names no image by its digest for {after}")
        return image


def _begun_on(node: Object, component: str) -> Begun | None:
    """What its machine was asked to take. NotTold where that can't be read, or is not of Talos."""
    try:
        begun = begun_in(annotation(node, FLASH_ANNOTATION))
    except ValueError as error:
        raise NotTold(
            f"annotation {FLASH_ANNOTATION} can't be read: see what its machine was asked, then take it off"
        ) from error
    if begun is not None and begun.component != component:
        raise NotTold(f"its machine was asked to take {begun.component} {begun.version}, which has not ended")
    return begun

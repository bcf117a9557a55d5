"""The class label: a drained node gets the label that names its layout, and the driver shows what was made of it.

Who acts on the label (mig-manager, the device plugin) starts at once, so the node is ours and empty before it is
written. Git holds the value in an object that nothing acts on: no Git has Nodes. What the operator says of itself
counts only together with what the driver lists: its word may be of the layout before.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.adapters.cluster import actors, driver_pod, facts, gpu_config, nvidia_smi, parting, rebooting
from knowngood.adapters.cluster.node_state import SUCCESS
from knowngood.adapters.cluster.nvidia_smi import Report
from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.watch import NOT_READY, UNREADABLE, Watch
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Task
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, Moving, NodeLabel, Seen
from knowngood.model.node import NodeState
from knowngood.planner import sharing

QUERY, LIST = ("nvidia-smi", "-q", "-x"), ("nvidia-smi", "-L")
PATIENCE = 15.0
"""Seconds for one answer of the driver; the next look asks again."""
FAILED = "failed"
NFD_OWNS = ("nfd.node.kubernetes.io/feature-labels", "nfd.openshift.io/feature-labels")
"""Annotations in which NFD keeps the labels that it writes, and writes anew (NFD's documentation, feature labels)."""


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Write the label unless the node has it, and wait until the driver shows what it asks for, and all is offered."""
    (moving,) = turn.moves
    if moving.spec.label is None:
        raise NodeFailed(f"the mover of {moving.component} names no label")
    watch = Watch(task, name, turn.ends_at)
    of = _Layout(task, name, moving, moving.spec.label, watch)
    written = of.write()
    try:
        return Arrived(written, watch.held, watch.until(of.look, of.what, later=written))
    except NodeFailed as error:
        if of.at_work:
            raise type(error)(f"{error}; {of.remedy}") from error
        raise


class _Layout:
    """One node's layout. `at_work`: by the last look, who acts on the label had not ended."""

    def __init__(self, task: Task, name: str, moving: Moving, label: NodeLabel, watch: Watch) -> None:
        self._task, self._name, self._moving, self._label, self._watch = task, name, moving, label, watch
        self._config = gpu_config.read(task.kube, task.gpu_operator)
        self._old: frozenset[str] | None = None  # MIG devices of before; None: they need not change
        self._begun = False  # it was seen at work on what we asked for
        self.at_work = False
        self.what = f"{moving.spec.words.it} {moving.after}"

    @property
    def remedy(self) -> str:
        """What a human types where who acts on the label has stopped half-way (gpu-operator issue 2833)."""
        return (
            f"have it begin anew: kubectl -n {self._task.gpu_operator} delete pod -l {self._label.owner}"
            f" --field-selector spec.nodeName={self._name}"
        )

    def write(self) -> bool:
        """Whether the label had to be written. NotTold where what it asks for can't be told, or it is another's."""
        node = self._watch.node
        if trouble := self._unknown():
            raise NotTold(trouble)
        if self._value(node) == self._moving.after:
            return False
        key = self._label.name
        if any(key in actors.annotation(node, by).split(",") for by in NFD_OWNS):
            raise NotTold(f"label {key} is written by NFD: take it out of the NodeFeatureRule that has it")
        if why := rebooting.booting(self._task.kube, self._task.gpu_operator, self._label.owner):
            raise NotTold(f"{why}; {rebooting.HINT}")
        if self._label.seen is Seen.PARTED:
            self._remember()
        self._task.tell(self._name, f"label {key} is {self._moving.after} now")
        return claiming.label(self._task, self._name, key, self._moving.after)

    def look(self) -> tuple[Mapping[str, Mark] | None, str]:
        """Its mark, once the driver and the kubelet show the layout and whoever made it has ended."""
        node = self._watch.node
        self.at_work = False
        if not facts.node_ready(node):
            return None, NOT_READY
        if (value := self._value(node)) != self._moving.after:
            return None, f"somebody has made its label {self._label.name} {value or 'nothing'}"
        if waiting := self._operator(node):
            self.at_work = True
            return None, waiting
        if parked := actors.parked(node):
            self.at_work = True
            return None, f"operands are parked: {parked[0]}"
        try:
            return self._shown(node)
        except (ApiError, Unreachable, ValueError) as error:
            return None, f"its driver {UNREADABLE}: {error}"

    def _operator(self, node: Object) -> str:
        """How far who acts on the label is, "" where it has ended, or says nothing of itself."""
        if not self._label.state:
            return ""
        said = str((node["metadata"].get("labels") or {}).get(self._label.state) or "")
        if said not in (SUCCESS, FAILED):
            self._begun = True
            return f"{self._label.state} is {said or 'not there'}"
        if said == FAILED and self._begun:
            raise NodeFailed(f"{self._label.state} is {FAILED}: {self.what} was not made")
        # It may be of the layout before, also where the label was there: then a run that was killed had written it.
        return f"{self._label.state} is still {FAILED}" if said == FAILED else ""

    def _shown(self, node: Object) -> tuple[Mapping[str, Mark] | None, str]:
        report, devices = self._driver()
        state = _state(self._name, node, report)
        wrong = next(iter(self._otherwise(state, report, devices)), "")
        if not wrong and self._label.seen is Seen.PARTED and not self._is_new(devices):
            wrong = f"{self._label.state} is {SUCCESS}, and the MIG devices are those of before"
        if wrong:
            self.at_work = not self._label.state  # nobody says that it has ended
            return None, wrong
        load = facts.module_load(self._task.kube, self._name)
        if load is None:
            return None, "no driver was loaded on this boot"
        mark = Mark(self._moving.after, load.boot_id, load.at)
        return {self._moving.component: mark}, ""

    def _is_new(self, devices: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether `success` can be of what we asked for: it was at work since, or the devices are others."""
        return self._begun or self._old is None or self._old != _ids(devices)

    def _otherwise(
        self, state: NodeState, report: Report, devices: Mapping[str, Mapping[str, str]]
    ) -> list[str]:
        """What is not as the layout gives it: by the driver first, then by what the node offers."""
        gpus = len(report.gpus)
        if self._label.seen is Seen.SHARED:
            found = parting.shares(self._config.plugin[self._moving.after])
            return [*parting.unshared(state, found, gpus), *filter(None, [sharing.untold(state, gpus)])]
        wanted = parting.expected(self._moving.after, report.gpus, self._config)
        if isinstance(wanted, str):
            raise NotTold(wanted)
        wrong = [f"{gpu.address} waits for a reset" for gpu in report.gpus if parting.pending(gpu)]
        wrong += parting.otherwise(report.gpus, wanted, devices)
        return wrong or [*sharing.missing(state, gpus), *filter(None, [sharing.untold(state, gpus)])]

    def _unknown(self) -> str:
        """Why it can't be told what the label asks for."""
        after = self._moving.after
        if self._label.seen is Seen.SHARED:
            known, trouble = self._config.plugin, self._config.plugin_trouble
        else:
            known, trouble = self._config.mig, self._config.mig_trouble
        if after in known:
            try:
                parting.shares(known[after]) if self._label.seen is Seen.SHARED else None
            except ValueError as error:
                return f"configuration {after} can't be understood: {error}"
            return ""
        return trouble or f"the configuration has no {after}; it has {', '.join(sorted(known)) or 'nothing'}"

    def _remember(self) -> None:
        """The MIG devices before, where the layout is another than what they are: they must become others."""
        try:
            report, devices = self._driver()
        except (ApiError, Unreachable, ValueError) as error:
            raise NotTold(f"how it is parted now {UNREADABLE}: {error}") from error
        wanted = parting.expected(self._moving.after, report.gpus, self._config)
        if not isinstance(wanted, str) and any(True for _ in parting.otherwise(report.gpus, wanted, devices)):
            self._old = _ids(devices)

    def _driver(self) -> tuple[Report, Mapping[str, Mapping[str, str]]]:
        """What the driver says of its GPUs, and GPU -> its MIG devices. ValueError: it says nothing of use."""
        report = nvidia_smi.parse(self._asked(QUERY))
        if not any(map(parting.in_mig, report.gpus)):
            return report, {}
        return report, nvidia_smi.slices(self._asked(LIST))

    def _asked(self, argv: tuple[str, ...]) -> str:
        of = (self._task.kube, self._task.gpu_operator, [self._name], argv)
        ran = driver_pod.ask(*of, timeout=PATIENCE)[self._name]
        if isinstance(ran, str):
            raise ValueError(ran)  # noqa: TRY004 (no answer of use, as the parser's own)
        return ran.stdout

    def _value(self, node: Object) -> str:
        return str((node["metadata"].get("labels") or {}).get(self._label.name) or "")


def _state(name: str, node: Object, report: Report) -> NodeState:
    """As much of a node as tells what it must offer."""
    mig = {
        gpu.address: " ".join(f"gi{i.gpu_instance}/ci{i.compute_instance}" for i in gpu.instances)
        for gpu in report.gpus
    }
    return NodeState(
        name,
        reachable=True,
        gpus=tuple(gpu.address for gpu in report.gpus),
        labels={str(k): str(v) for k, v in (node["metadata"].get("labels") or {}).items()},
        allocatable=facts.extended((node.get("status") or {}).get("allocatable") or {}),
        inventory={"mig": mig},
    )


def _ids(devices: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    return frozenset(uuid for of_gpu in devices.values() for uuid in of_gpu)

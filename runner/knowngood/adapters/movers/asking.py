"""What a held node's files and its kernel log say, through whichever of its drivers' pods answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from knowngood.adapters.cluster import facts, readouts
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.adapters.movers.daemon_driver import JOURNAL_PATIENCE
from knowngood.adapters.nodes.batch import Task
from knowngood.model.errors import Unreachable
from knowngood.model.mover import MoverSpec, Proof


class NoPodError(Unreachable):
    """Nobody is there who could be asked, as the API server says: no driver's pod is Ready."""


def files_and_log(
    task: Task, name: str, spec: MoverSpec, proof: Proof, command: Sequence[str]
) -> tuple[Mapping[str, list[str]], Sequence[Object]]:
    """What a command of find and grep prints, by file, and the lines of this boot among which `proof` finds arrivals.

    ApiError or Unreachable of the last pod that was asked, where none answers; NoPodError where none is there.
    """
    silent: ApiError | Unreachable = NoPodError("no driver pod runs on it")
    for pod, container in _pods(task, name, spec):
        where = (pod["metadata"]["namespace"], pod["metadata"]["name"], container)
        try:
            printed = pod_exec.run(task.kube, *where, list(command)).stdout
            text = facts.journal(
                task.kube,
                name,
                grep=proof.log,
                busy=JOURNAL_PATIENCE,
                up=partial(facts.uptime, task.kube, pod, container),
            )
        except (ApiError, Unreachable) as error:
            silent = error
            continue
        return readouts.parse_grep(printed), facts.kernel_lines(name, text)
    raise silent


def _pods(task: Task, name: str, spec: MoverSpec) -> Iterable[tuple[Object, str]]:
    """What can be asked on the node: the mover's own pods, then the GPU driver's."""
    if spec.pods is not None:
        for pod in _ready(task, name, spec.pods.label, task.namespace_of(spec.pods)):
            yield pod, spec.pods.container
    for pod in _ready(task, name, facts.DRIVER_LABEL, ""):
        yield pod, facts.DRIVER_CONTAINER


def _ready(task: Task, name: str, label: str, namespace: str) -> list[Object]:
    return [pod for pod in task.view.labelled(name, label, namespace) if facts.is_ready(pod)]

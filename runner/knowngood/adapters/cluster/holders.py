"""Processes of a node that belong to no pod and have its GPUs open: no drain ends them, and no module goes before them.

Asked by one command in a driver pod, which is in the host's process namespace. The modules' refcnt tells less: the
operator's own pods count in it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from knowngood.adapters.cluster import facts, readouts
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object
from knowngood.model.errors import Unreachable, UsageError
from knowngood.model.mover import Specs

SELF = "/proc/self/cgroup"
IN_A_POD = "kubepods|/pod[0-9a-f]{8}[-_]|crio-|cri-containerd"
"""In a line of /proc/PID/cgroup: the kubelet's groups by both cgroup drivers, and the runtimes' scopes."""
COMMAND = (
    *("find", "/proc", SELF, "-maxdepth", "3"),
    *("-name", "cgroup", "-exec", "grep", "-slE", IN_A_POD, "{}", "+"),
    *("-o", "-path", "/proc/[0-9]*/fd/*", "-lname", "*/dev/nvidia*", "-print"),
    *("-o", "-path", "/proc/[^0-9]*", "-prune"),
    *("-o", "-path", "/proc/[0-9]*/*", "-type", "d", "!", "-name", "fd", "-prune"),
)
"""The processes of pods, by their cgroup; and each open GPU device, by its process. Folders of no use are left out."""
_FILE = re.compile(r"^/proc/(?P<pid>\d+)/(?P<what>cgroup|fd/\d+)$", re.MULTILINE)
MOST = 5


def of_no_pod(kube: Kube, pods: Iterable[Object], specs: Specs) -> tuple[str, ...] | None:
    """These processes in words, `stress (pid 4242)`; None where it can't be told: no driver pod of the node answers.

    Nor can it where that pod does not see its own cgroup as a pod's: then everybody's looks like the host's.
    """
    for pod, container in _asked(pods, specs):
        metadata = pod["metadata"]
        where = (metadata["namespace"], metadata["name"], container)
        try:
            told = pod_exec.run(kube, *where, COMMAND).stdout
            if SELF not in told.splitlines():
                continue
            found = _holders(told)
            names = _names(kube, where, found) if found else {}
        except (ApiError, Unreachable, UsageError):
            continue
        return tuple(f"{names.get(pid) or 'a process'} (pid {pid})" for pid in found)
    return None


def in_words(holders: tuple[str, ...]) -> str:
    """Who holds it, the first few by name."""
    more = [f"{len(holders) - MOST} more"] if len(holders) > MOST else []
    return f"the GPU is open in {', '.join([*holders[:MOST], *more])} on the host, which no drain ends: stop it there"


def _asked(pods: Iterable[Object], specs: Specs) -> Iterable[tuple[Object, str]]:
    """The node's driver pods that see the host's processes, with the container to ask."""
    of = {(spec.pods.label, spec.pods.container) for spec in specs.values() if spec.pods}
    for pod in pods:
        for label, container in of:
            if pod["spec"].get("hostPID") and facts.has_label(pod, label) and facts.is_ready(pod):
                yield pod, container


def _holders(told: str) -> tuple[str, ...]:
    rows = [(m["pid"], m["what"]) for m in _FILE.finditer(told)]
    of_pods = {pid for pid, what in rows if what == "cgroup"}
    return tuple(sorted({pid for pid, what in rows if what != "cgroup"} - of_pods, key=int))


def _names(kube: Kube, where: tuple[str, str, str], pids: Iterable[str]) -> dict[str, str]:
    """What each is called; one that has ended meanwhile has no name."""
    files = {pid: f"/proc/{pid}/comm" for pid in pids}
    read = readouts.parse_grep(pod_exec.run(kube, *where, ["grep", "-sH", "", *files.values()]).stdout)
    return {pid: readouts.first(read, file) for pid, file in files.items()}

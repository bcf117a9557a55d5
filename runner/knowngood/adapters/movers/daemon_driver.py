"""The class daemon-driver: restart the pod of an OnDelete DaemonSet on a drained node, and prove that its module came.

Proof is a line in the kernel log that is newer than our claim, and what the kernel then shows. Neither labels nor the
custom resource's status count.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.adapters.cluster import facts, node_state, readouts
from knowngood.adapters.cluster.readouts import Lines
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Object, path
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.watch import NOT_READY, UNREADABLE, Watch
from knowngood.adapters.nodes.batch import NodeFailed, Task
from knowngood.adapters.waiting import waiting, working
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, Pods, Proof
from knowngood.model.values import Values
from knowngood.planner.version import TEXT, runs

JOURNAL_PATIENCE = 2.0  # seconds; the next look asks again
REVISION = "controller-revision-hash"
"""On a DaemonSet's pods and on its ControllerRevisions: which template one is of."""


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Restart the pod unless the node runs what is wanted from a load of this claim, and wait for that."""
    first = turn.moves[0]
    if first.spec.pods is None or first.spec.proof is None:
        raise NodeFailed(f"the mover of {first.component} names no pods or no proof")
    watch = Watch(task, name, turn.ends_at)
    of = _Restart(task, name, turn, watch, (first.spec.pods, first.spec.proof))
    it = first.spec.words.it
    restarted = of.start(watch.until(of.template, f"the {it} DaemonSet"))
    marks = watch.until(of.loaded, f"the {it}", later=restarted)
    return Arrived(restarted, watch.held, marks)


class _Restart:
    """One pod on one node, and all that comes with its restart. Each look returns what it found, or None and the state.

    `it`: what people call the pods that bring the version, a driver say.
    """

    def __init__(self, task: Task, name: str, turn: Turn, watch: Watch, how: tuple[Pods, Proof]) -> None:
        self._task = task
        self._name = name
        self._turn = turn
        self._watch = watch
        self._of, self._proof = how
        self._it = turn.moves[0].spec.words.it
        self._lead = next((m for m in turn.moves if not m.spec.beside), None)
        self._specs = {m.component: m.spec for m in turn.moves}
        self._before: Mapping[str, Mark] = {}  # as the first look at the node finds it
        self._namespace = task.namespace_of(self._of)
        self._deleted = ""
        self._asked = False  # for its load

    def template(self) -> tuple[Object | None, str]:
        """The DaemonSet that drives this node, once it carries what is wanted: Git's change has arrived."""
        self._before = self._before or self._task.marks_before(self._watch.node)
        found = self._daemonset()
        if found is None:
            return None, f"no {self._it} DaemonSet selects it"
        metadata, image = found["metadata"], self._template_image(found)
        if self._lead and not facts.carries(image, self._lead.after):
            return None, f"DaemonSet {metadata['name']} has {image}, not {self._lead.after}"
        observed = int((found.get("status") or {}).get("observedGeneration") or 0)
        if observed < int(metadata.get("generation") or 0):
            return None, f"DaemonSet {metadata['name']} has been changed just now"
        pod = self._pod() if self._shown_elsewhere() else None
        if pod and self._started(pod) and self._is_current(pod, found):
            marks, state = self._judge(pod)
            if marks is None and self._of_a_setting(state):
                return None, f"DaemonSet {metadata['name']} is as its pod is, and {state}"
        return found, ""

    def start(self, daemonset: Object) -> bool:
        """Delete the pod if it must start anew, as the pod we have looked at and no other. `daemonset`: as it is."""
        pod = self._pod()
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return False
        current = self._is_current(pod, daemonset)
        if current and (not self._started(pod) or self._judge(pod)[0]):
            return False
        self._task.held(self._name)
        if self._turn.since:
            self._forget(pod)
        metadata = pod["metadata"]
        where = path("v1", "pods", metadata["name"], metadata["namespace"])
        self._deleted = str(metadata["uid"])
        self._task.tell(self._name, f"{self._it} pod {metadata['name']} deleted")
        return self._task.kube.delete(where, uid=self._deleted)

    def loaded(self) -> tuple[Mapping[str, Mark] | None, str]:
        """The module's new load and what came with it, once its pod is Ready."""
        if not facts.node_ready(self._watch.node):
            return None, NOT_READY
        pod = self._pod()
        if pod is None:
            return None, f"no {self._it} pod"
        if pod["metadata"]["uid"] == self._deleted:
            return None, f"the old {self._it} pod is ending"
        if not facts.is_ready(pod):
            return None, f"{self._it} pod {facts.pod_state(pod)}"
        return self._judge(pod)

    def _judge(self, pod: Object) -> tuple[Mapping[str, Mark] | None, str]:
        """The marks of all that comes with this restart, if each is what is wanted."""
        again, self._asked = self._asked, True
        try:
            with waiting() if again else working():
                text = facts.journal(
                    self._task.kube,
                    self._name,
                    grep=self._proof.log,
                    busy=JOURNAL_PATIENCE,
                    up=lambda: facts.uptime(self._task.kube, pod, self._of.container),
                )
            lines = facts.kernel_lines(self._name, text)
            load = facts.last_load(lines, self._proof)
            read = self._files(pod) if load else {}
        except (ApiError, Unreachable) as error:
            return None, f"its kernel log or files {UNREADABLE}: {type(error).__name__}"
        if load is None:
            return None, f"no {self._it} was loaded on this boot"
        marks = node_state.marks_in(lines, self._specs, read)
        wrong = self._otherwise(load, marks) or self._stale(load, marks)
        return (None, wrong) if wrong else (marks, "")

    def _files(self, pod: Object) -> Lines:
        """Those by which what comes with this restart is told: one command in the pod itself."""
        files = readouts.files_of(self._specs)
        if not files:
            return {}
        where = (self._namespace, pod["metadata"]["name"], self._of.container)
        return readouts.parse_grep(pod_exec.run(self._task.kube, *where, ["grep", "-sH", "", *files]).stdout)

    def _otherwise(self, load: Mark, marks: Mapping[str, Mark]) -> str:
        """What runs and is not wanted, in words; "" where all is."""
        for moving in self._turn.moves:
            running = marks[moving.component].version if moving.component in marks else ""
            if runs(moving.spec.scheme or TEXT, moving.after, running):
                continue
            if not moving.spec.beside:
                return f"module {running or load.version or 'of no version'} is loaded, not {moving.after}"
            return f"{moving.component} is {running or 'not to be told'}, not {moving.after}"
        return ""

    def _stale(self, load: Mark, marks: Mapping[str, Mark]) -> str:
        """Why this load proves nothing: from before the claim, and something else ran; or before what it needs."""
        what = f"module {load.version}".strip()
        since = self._turn.since
        if since and load.boot_id == since.boot_id and load.at <= since.at:
            if since == self._task.since.get(self._name):
                return f"{what} was not loaded a second time"
            return f"{what} was loaded before the driver that it is built for"
        known = {c: mark for c, mark in self._before.items() if c in marks}
        newer = all(load.boot_id != mark.boot_id or load.at > mark.at for mark in known.values())
        never_away = all(c in known and known[c].version == mark.version for c, mark in marks.items())
        return "" if newer or never_away else f"{what} was loaded before the claim, not anew"

    def _shown_elsewhere(self) -> bool:
        return any(m.spec.beside for m in self._turn.moves)

    def _of_a_setting(self, state: str) -> bool:
        return any(state.startswith(f"{m.component} is ") for m in self._turn.moves if m.spec.beside)

    def _forget(self, pod: Object) -> None:
        """Have the next pod load its module anew, although what it is to load is unchanged.

        Its container compares only what it was configured with, and not for which NIC driver it was built.
        """
        if not self._of.state:
            return
        where = (self._namespace, pod["metadata"]["name"], self._of.container)
        try:
            pod_exec.run(self._task.kube, *where, ["rm", "-f", self._of.state])
        except (ApiError, Unreachable) as error:
            self._task.tell(self._name, f"{self._of.state} could not be removed: {type(error).__name__}")

    def _pod(self) -> Object | None:
        """The pod on the node; the youngest if an old one is still ending."""
        pods = list(self._task.view.labelled(self._name, self._of.label, self._namespace))
        pods.sort(key=lambda pod: (not pod["metadata"].get("deletionTimestamp"), _created(pod)))
        return pods[-1] if pods else None

    def _daemonset(self) -> Object | None:
        for daemonset in self._task.view.daemonsets(self._namespace):
            if facts.has_label(daemonset["spec"]["template"], self._of.label) and facts.selects(
                daemonset, self._watch.node
            ):
                return daemonset
        return None

    def _started(self, pod: Object) -> bool:
        """Whether its own container is ready; another beside it may fail for ever, as one built for another driver."""
        statuses = (pod.get("status") or {}).get("containerStatuses") or ()
        own = any(s.get("ready") for s in statuses if s.get("name") == self._of.container)
        return own or facts.is_ready(pod)

    def _is_current(self, pod: Object, daemonset: Object) -> bool:
        """Whether a pod is of the DaemonSet's newest template: settings change that, and not the image."""
        mine = [
            r
            for r in self._task.view.revisions(self._of.label, self._namespace)
            for owner in r["metadata"].get("ownerReferences") or ()
            if owner.get("uid") == daemonset["metadata"]["uid"]
        ]
        newest = max(mine, key=lambda r: int(r.get("revision") or 0), default=None)
        wanted = (newest["metadata"].get("labels") or {}).get(REVISION) if newest else None
        has = (pod["metadata"].get("labels") or {}).get(REVISION)
        same_image = facts.image_of(pod["spec"], self._of.container) == self._template_image(daemonset)
        return same_image and (wanted is None or has is None or wanted == has)

    def _template_image(self, daemonset: Values) -> str:
        return facts.image_of(daemonset["spec"]["template"]["spec"], self._of.container)


def _created(pod: Values) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")

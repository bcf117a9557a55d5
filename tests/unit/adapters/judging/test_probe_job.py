"""The probes: what is asked of Kubernetes, how their answers are read, what is said of those without, and their end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from knowngood.adapters.judging import probe_job
from knowngood.adapters.judging.probe_manifest import PROBE_LABEL
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object
from knowngood.model.errors import Inconclusive, Interrupted, Unreachable
from knowngood.ports.cancel import Cancel

from .ordering import order


def said(node: str, payload: str, boot: str = "b") -> str:
    return json.dumps({"schema": 1, "node": node, "bootId": boot, "results": {payload: {"ok": True}}}) + "\n"


def answer(node: str) -> str:
    """A probe's log: a document a payload, among other talk."""
    return "a warning\n" + said(node, "rdma") + "training| epoch 1\n" + said(node, "training")


def succeeded(_node: str) -> Object | None:
    return {"phase": "Succeeded"}


class FakeKube(Kube):
    """An API server with a Job controller and a scheduler that act at once; a pod that has ended counts no more.

    `fate(node)` is the status that the pod for a node has: without a `phase` it stays unplaced, None: it is not made.
    """

    def __init__(
        self,
        fate: Callable[[str], Object | None] = succeeded,
        log: Callable[[str], str] = answer,
        nodes: tuple[str, ...] = ("gpu-1", "gpu-2"),
    ) -> None:
        self.fate = fate
        self.log = log
        self.nodes = nodes
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, list[Object]] = {}
        self.made: list[str] = []
        self.deleted: list[str] = []
        self.most = 0
        self.stuck: set[str] = set()
        self.refusal: ApiError | None = None
        self.refused: set[str] = set()
        self._one = threading.Lock()

    def get(self, where: str, **query: str) -> Object:
        return self.jobs[where.rpartition("/")[2]]

    def list(self, where: str, labels: str = "", fields: str = "", keep: Any = None) -> list[Object]:
        if where.endswith("/jobs"):
            return list(self.jobs.values())
        return [pod for pods in self.pods.values() for pod in pods]

    def create(self, where: str, body: Object, **query: str) -> Object:
        name = body["metadata"]["name"]
        if self.refusal and (not self.refused or str(body).count(next(iter(self.refused)))):
            raise self.refusal
        if name in self.jobs:
            raise ApiError(409, "AlreadyExists", "", "POST")
        self.jobs[name] = {**body, "metadata": {**body["metadata"], "uid": f"uid of {name}"}, "status": {}}
        self.made.append(name)
        self.most = max(self.most, len(self.jobs))
        self.pods[name] = [p for _ in range(body["spec"].get("completions", 1)) if (p := self._pod(body))]
        return self.jobs[name]

    def _pod(self, job: Object) -> Object | None:
        """Place a pod as a real scheduler does: the first node that its affinity allows."""
        template = job["spec"]["template"]
        affinity = template["spec"]["affinity"]["nodeAffinity"]
        required: Object = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        term: Object = required["nodeSelectorTerms"][0]
        entry: Object = [*term.get("matchFields", ()), *term.get("matchExpressions", ())][0]
        node = next(n for n in self.nodes if n in entry["values"])
        status = self.fate(node)
        if status is None:
            return None
        spec = {"nodeName": node} if status.get("phase") else {}
        metadata = {**template["metadata"], "name": f"{job['metadata']['name']}-on-{node}"}
        return {"metadata": metadata, "spec": spec, "status": status}

    def delete_all(self, where: str, labels: str) -> None:
        self.deleted.append(labels)
        wanted = dict(part.split("=") for part in labels.split(","))
        for name, job in list(self.jobs.items()):
            stays = any(
                pod["metadata"]["name"].partition("-on-")[2] in self.stuck for pod in self.pods.get(name, ())
            )
            if not stays and wanted.items() <= job["metadata"]["labels"].items():
                del self.jobs[name]
                self.pods.pop(name, None)

    def text(self, where: str, *, busy: float | None = None, **query: str) -> str:
        return self.log(where.partition("-on-")[2].partition("/")[0])


def run(kube: FakeKube, **changes: Any) -> probe_job.Answers:
    return probe_job.run(kube, order(**changes), Cancel())


TWELVE = tuple(f"gpu-{number}" for number in range(1, 13))


def test_every_node_gets_one_pod_however_quickly_the_probes_end() -> None:
    """Pods that have ended repel nobody: spreading by anti-affinity gave some nodes two and others none."""
    kube = FakeKube(nodes=TWELVE)
    answers = run(kube, nodes=TWELVE)
    assert (sorted(answers.documents), answers.missing) == (sorted(TWELVE), {})


def test_every_nodes_document_is_read_and_the_jobs_are_gone() -> None:
    kube = FakeKube()
    answers = run(kube)
    assert (set(answers.documents), answers.missing, answers.leftover) == ({"gpu-1", "gpu-2"}, {}, {})
    assert (kube.jobs, len(kube.deleted)) == ({}, 1), "by one request, however many they are"


def test_a_part_goes_when_all_of_it_has_answered_and_others_are_still_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has ended would be in every list: a thousand pods, at each look."""
    monkeypatch.setattr(probe_job, "AT_A_TIME", 2)
    kube = FakeKube(nodes=TWELVE)
    answers = run(kube, nodes=TWELVE[:5])
    assert (len(answers.documents), answers.leftover, kube.jobs) == (5, {}, {})
    assert [labels.partition("part=")[2] for labels in kube.deleted] == ["0", "1", ""]
    assert kube.most <= 4


def test_an_answer_in_the_pods_status_needs_no_log() -> None:
    def fate(node: str) -> Object:
        ended = {"state": {"terminated": {"exitCode": 0, "message": answer(node).partition("\n")[2]}}}
        return {"phase": "Succeeded", "containerStatuses": [ended]}

    def never(_node: str) -> str:
        raise AssertionError("the log was asked for")

    assert len(run(FakeKube(fate, never)).documents) == 2


@pytest.mark.parametrize("words", ["", "Killed", answer("gpu-9")])
def test_last_words_that_are_no_document_of_the_node_leave_the_log_to_tell(words: str) -> None:
    ended = {"state": {"terminated": {"exitCode": 0, "message": words}}}
    status = {"phase": "Succeeded", "containerStatuses": [ended]}
    assert len(run(FakeKube(lambda _node: status)).documents) == 2


def test_no_more_probes_are_on_their_way_than_the_bound() -> None:
    many = tuple(f"gpu-{number}" for number in range(130))
    kube = FakeKube(nodes=many)
    answers = run(kube, nodes=many, deadline=30.0)
    assert len(answers.documents) == 130
    assert kube.most == probe_job.AT_A_TIME


def waiting(reason: str, message: str) -> Object:
    return {
        "phase": "Pending",
        "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}],
    }


def condition(kind: str, message: str) -> Object:
    return {"conditions": [{"type": kind, "status": "False", "message": message}]}


FULL = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu."
ENDED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "ImportError: torch"}}
FATES: dict[str, tuple[Object | None, str]] = {
    "no room": (condition("PodScheduled", FULL), f"the probe pod was not scheduled in 0 s: {FULL}"),
    "no image": (
        waiting("ImagePullBackOff", "no such tag"),
        "did not start in 0 s: ImagePullBackOff: no such tag",
    ),
    "a slow image": (
        waiting("ContainerCreating", ""),
        "the probe pod did not start in 0 s: ContainerCreating",
    ),
    "an image that is pulled": (
        {
            **waiting("ContainerCreating", ""),
            "conditions": [{"type": "PodReadyToStartContainers", "status": "True"}],
        },
        "the probe pod did not start in 0 s (its image is being pulled): ContainerCreating",
    ),
    "a folder of the host that is not there": (
        {
            **waiting("ContainerCreating", ""),
            "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}],
        },
        "did not start in 0 s (a volume or its network is not ready; its events say which. Is driverRoot",
    ),
    "a crash": (
        {"phase": "Failed", "containerStatuses": [{"state": ENDED}]},
        "the probe pod failed: exit code 1, Error: ImportError: torch",
    ),
    "evicted": (
        {"phase": "Failed", "reason": "Evicted", "message": "disk pressure"},
        "failed: disk pressure",
    ),
    "no end": ({"phase": "Running"}, "the probe still ran after 0 s"),
    "no pod": (None, "Kubernetes made no pod for Job probe-"),
}


@pytest.mark.parametrize("case", FATES)
def test_what_is_said_is_what_happened_to_that_pod_on_that_node(case: str) -> None:
    """One node's trouble is said of that node, in the words of who knows; the other's answer stays."""
    status, words = FATES[case]
    kube = FakeKube(
        lambda node: status if node == "gpu-2" else succeeded(node),
        lambda node: "" if node == "gpu-2" else answer(node),
    )
    answers = run(kube)
    assert words in answers.missing["gpu-2"]
    assert set(answers.documents) == {"gpu-1"}
    assert kube.jobs == {}


def test_a_time_that_is_told_is_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It once said `no probe pod ran within 54 s` after 1.4 s."""
    monkeypatch.setattr(probe_job, "STARTED_WITHIN", 0.2)
    kube = FakeKube(lambda _node: condition("PodScheduled", FULL))
    answers = run(kube, deadline=54.0)
    assert answers.missing
    assert all("not scheduled in 0 s" in why for why in answers.missing.values())


def test_nodes_that_cannot_start_keep_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many stuck nodes as may be on their way, first in the row: the last one is probed all the same."""
    monkeypatch.setattr(probe_job, "STARTED_WITHIN", 0.2)
    stuck = tuple(f"stuck-{number}" for number in range(probe_job.AT_A_TIME))
    nodes = (*stuck, "gpu-1")
    slow = waiting("ContainerCreating", "pulling")
    kube = FakeKube(lambda node: slow if node in stuck else succeeded(node), nodes=nodes)
    answers = run(kube, nodes=nodes, deadline=2.0)
    assert set(answers.documents) == {"gpu-1"}
    assert set(answers.missing) == set(stuck)


def test_a_node_whose_turn_never_came_is_told_so() -> None:
    nodes = tuple(f"gpu-{number}" for number in range(probe_job.AT_A_TIME + 1))
    kube = FakeKube(lambda _node: {"phase": "Running"}, lambda _node: "", nodes=nodes)
    answers = run(kube, nodes=nodes)
    assert "the 0 s for all 51 nodes were over before its turn" in answers.missing["gpu-50"]
    assert "still ran" in answers.missing["gpu-0"]


def test_a_job_that_somebody_deleted_or_that_failed_without_a_pod_is_not_waited_for() -> None:
    def fate(node: str) -> Object | None:
        if node == "gpu-2":
            for job in kube.jobs.values():
                failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "late"}
                job["status"] = {"conditions": [failed]}
        return None

    kube = FakeKube(fate)
    answers = run(kube, deadline=54.0)
    assert "its Job failed" in answers.missing["gpu-1"]
    assert "DeadlineExceeded: late" in answers.missing["gpu-1"]


def test_a_job_that_the_api_server_refuses_is_that_nodes_trouble() -> None:
    kube = FakeKube()
    kube.refusal, kube.refused = ApiError(422, "Invalid", "no such thing", "POST"), {"gpu-2"}
    answers = run(kube)
    assert set(answers.documents) == {"gpu-1"}
    assert "no such thing" in answers.missing["gpu-2"]


def test_a_create_whose_answer_was_lost_is_taken_up() -> None:
    kube = FakeKube()
    first = kube.create

    def lost(where: str, body: Object, **query: str) -> Object:
        first(where, body)
        return first(where, body)

    kube.create = lost  # type: ignore[method-assign]
    assert set(run(kube).documents) == {"gpu-1", "gpu-2"}


@pytest.mark.parametrize(
    "log",
    [
        lambda _node: "",
        lambda _node: "Traceback\nImportError",
        lambda _node: answer("gpu-9"),
        lambda _node: '{"schema": 2, "node": "gpu-1", "results": {}}',
        lambda _node: '{"schema": 1, "node": "gpu-1", "results": []}',
    ],
    ids=["nothing", "a traceback", "another node's", "another schema", "no results"],
)
def test_a_log_without_this_nodes_document_is_no_answer(log: Callable[[str], str]) -> None:
    answers = run(FakeKube(log=log), nodes=("gpu-1",))
    assert answers.documents == {}
    assert "can't be read" in answers.missing["gpu-1"]


def test_logs_that_cannot_be_fetched_are_no_answer() -> None:
    def broken(_node: str) -> str:
        raise Unreachable("the kubelet is silent")

    assert "silent" in run(FakeKube(log=broken), nodes=("gpu-1",)).missing["gpu-1"]


def test_what_a_killed_run_left_is_deleted_first() -> None:
    kube = FakeKube()
    labels = {PROBE_LABEL: order().group}
    kube.jobs["old"] = {"metadata": {"name": "old", "uid": "the old one's", "labels": labels}}
    run(kube)
    assert "old" not in kube.jobs
    assert kube.deleted[0] == f"{PROBE_LABEL}={order().group}"


def test_a_job_that_does_not_go_is_told_of_its_node_and_keeps_no_other_from_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_job, "DELETED_WITHIN", 0.2)
    kube = FakeKube()
    kube.stuck = {"gpu-2"}
    first = run(kube)
    assert set(first.documents) == {"gpu-1", "gpu-2"}
    assert {node: "is still there" in words for node, words in first.leftover.items()} == {"gpu-2": True}
    second = run(kube)
    assert set(second.documents) == {"gpu-1"}
    assert "an older one is not gone" in second.missing["gpu-2"]


LOSSES: dict[str, tuple[Object, str]] = {
    "hangs": ({"phase": "Running"}, "the probe still ran after 0 s while it ran"),
    "out of memory": (
        {
            "phase": "Failed",
            "containerStatuses": [{"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}],
        },
        "the probe pod failed: exit code 137, OOMKilled while it ran",
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_a_probe_that_is_lost_on_the_way_keeps_what_it_had_said(case: str) -> None:
    status, words = LOSSES[case]
    kube = FakeKube(lambda _node: status, lambda node: said(node, "rdma"))
    found = run(kube, payloads=("rdma", "training", "inference")).documents["gpu-1"]["results"]
    assert found["rdma"] == {"ok": True}
    assert (found["training"]["ok"], found["training"]["reason"]) == (None, words)
    assert found["inference"]["reason"] == words.replace("while it ran", "before its turn")


def test_documents_of_two_boots_are_no_answer() -> None:
    kube = FakeKube(log=lambda node: said(node, "rdma") + said(node, "training", "another"))
    assert "of 2 boots" in run(kube, nodes=("gpu-1",)).missing["gpu-1"]


def test_a_round_that_is_called_off_leaves_nothing() -> None:
    cancel = Cancel()

    def fate(_node: str) -> Object:
        cancel.set("INT")
        return {"phase": "Running"}

    kube = FakeKube(fate)
    with pytest.raises(Interrupted):
        probe_job.run(kube, order(deadline=54.0), cancel)
    assert kube.jobs == {}


def test_a_missing_namespace_is_said_with_the_way_out() -> None:
    kube = FakeKube()
    kube.refusal = ApiError(404, "NotFound", "no namespace", "POST")
    with pytest.raises(Inconclusive) as raised:
        run(kube)
    assert "kubectl apply" in raised.value.hint

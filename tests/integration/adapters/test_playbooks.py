"""The playbooks through ansible-runner on a real twin: each verb twice, a stale runner, killed runners, outages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.play import Play, environment, staged
from tests.movers import MOVERS, USERS, moving

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.gitops.argocd import ArgoDelivery
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.processes import supervisor
from knowngood.adapters.processes.ansible import AnsibleNodeWork
from knowngood.adapters.processes.supervisor_child import parents
from knowngood.matrix.load import load
from knowngood.matrix.locate import playbooks_dir
from knowngood.model.errors import Interrupted, LockHeld
from knowngood.model.field import FieldChange
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Hold
from knowngood.model.names import CLAIM_ANNOTATION, QUARANTINE_TAINT, REASON_ANNOTATION, SNAPSHOT_ANNOTATION
from knowngood.model.node import NodeState
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer

RUN = "r20260822-031500-7f3a"
FENCE = f"{RUN}/1"
CANARY, OTHER = "lab-gpu-1", "lab-gpu-2"
OLD, NEW = "580.173.02", "595.91.07"


class Watcher(Observer):
    """Keeps what it is told; may act on it."""

    def __init__(self) -> None:
        self.said: list[Progress] = []
        self.react: Callable[[Progress], None] = lambda _: None

    def record(self, record: Record) -> None:
        raise AssertionError("playbooks write no records")

    def progress(self, progress: Progress) -> None:
        self.said.append(progress)
        self.react(progress)


class Lab:
    """A settled twin of the small cluster and our adapters on it."""

    def __init__(self, play: Play, folder: Path) -> None:
        self.play = play
        self.folder = folder
        self.watcher = Watcher()
        self.kube = Kube(play.stage.kubeconfig)
        cluster: Cluster = load(play.stage.matrix).clusters[play.cluster]
        impatient = tuple(replace(t, eviction_deadline=2.0) for t in cluster.tenants)
        self.cluster = replace(cluster, tenants=impatient, raw={})
        self.reader = KubeCluster(self.kube, self.cluster)
        self.work = self.work_with(play.stage.kubeconfig)

    def work_with(self, kubeconfig: Path) -> AnsibleNodeWork:
        limits = self.cluster.limits
        return AnsibleNodeWork(
            self.cluster, kubeconfig, self.folder, limits, self.watcher, playbooks_dir(), RUN
        )

    def node(self, name: str) -> NodeState:
        return self.reader.observe([name], MOVERS)[name]

    def evicted(self) -> int:
        """How many pods were evicted so far, by the twin's event log."""
        return len([e for e in self.play.events() if e["event"] == "pod-evicted"])

    def declare(self, ring: str, before: str, after: str) -> FieldChange:
        """Push a version for a ring and wait until Argo CD has brought it."""
        declared = self.cluster.declaration("nvidia-driver")
        field = declared.of_ring(ring)
        change = FieldChange(field.component, field.file, field.path, field.object, before, after)
        clone = self.folder / "clone"
        if not clone.exists():
            git(self.folder, "clone", "-q", str(self.play.stage.repo), str(clone))
        file = clone / change.file
        file.write_text(file.read_text().replace(before, after))
        git(clone, "commit", "-qam", f"{ring} to {after}")
        git(clone, "push", "-q")
        commit = git(clone, "rev-parse", "HEAD")
        delivery = ArgoDelivery(self.kube, self.cluster, lambda a, b: a == b, SystemClock())
        assert delivery.ready() == []
        delivery.wait(commit, [change], 60, Cancel())
        return change


def git(where: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    command = ["git", "-C", str(where), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(name="play", scope="module")
def _play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with staged(tmp_path_factory.mktemp("lab") / "stage", "lab-small") as play:
        yield play


@pytest.fixture(name="lab")
def _lab(play: Play, tmp_path: Path) -> Iterator[Lab]:
    """The twin is shared: afterwards no fault is active and both nodes are free again."""
    lab = Lab(play, tmp_path)
    yield lab
    play.stage.clear_faults()
    free = {
        "metadata": {"annotations": dict.fromkeys((CLAIM_ANNOTATION, SNAPSHOT_ANNOTATION, REASON_ANNOTATION))}
    }
    for name in (CANARY, OTHER):
        lab.kube.merge(f"/api/v1/nodes/{name}", {**free, "spec": {"taints": None, "unschedulable": None}})


def test_claim_drain_apply_release_move_one_node_and_nothing_else(lab: Lab) -> None:
    """The whole way of one node, each playbook twice: the second run changes nothing."""
    before = {name: lab.node(name) for name in (CANARY, OTHER)}
    change = lab.declare("ring-0", OLD, NEW)
    assert lab.reader.live_value(change) == NEW
    assert lab.node(CANARY).marks == before[CANARY].marks  # declaring disturbs nobody yet

    cancel, nodes = Cancel(), [CANARY]
    for _ in range(2):
        assert lab.work.claim(nodes, FENCE, cancel, hold=Hold.CORDON, specs=MOVERS).done == (CANARY,)
        claimed = lab.node(CANARY)
        assert claimed.unschedulable
        assert claimed.annotations[CLAIM_ANNOTATION] == FENCE
    drained = lab.work.drain(nodes, FENCE, cancel, users=USERS)
    assert drained.done == (CANARY,)
    assert {w["tenant"] for w in drained.detail[CANARY]["evicted"]} == {"notebooks"}
    assert lab.work.drain(nodes, FENCE, cancel, users=USERS).detail[CANARY]["evicted"] == []
    applied = lab.work.apply(nodes, FENCE, moving(NEW), cancel)
    assert applied.detail[CANARY]["restarted"] is True
    assert applied.detail[CANARY]["held"] >= 1  # driver-manager had uncordoned it
    assert lab.work.apply(nodes, FENCE, moving(NEW), cancel).detail[CANARY]["restarted"] is False
    still = lab.node(CANARY)
    assert still.unschedulable
    assert still.versions["nvidia-driver"] == still.versions["nvidia-user-space"] == NEW
    for _ in range(2):
        assert lab.work.release(nodes, FENCE, cancel).done == (CANARY,)
    after = lab.node(CANARY)
    assert (after.taints, after.unschedulable) == (before[CANARY].taints, before[CANARY].unschedulable)
    assert after.annotations == before[CANARY].annotations
    assert after.allocatable == before[CANARY].allocatable
    assert lab.node(OTHER).marks == before[OTHER].marks
    assert lab.reader.leftovers() == []
    assert any("driver pod" in p.text and p.subject == CANARY for p in lab.watcher.said)


def test_a_stale_runner_is_told_that_it_lost_and_changes_nothing(lab: Lab) -> None:
    lab.work.claim([CANARY], f"{RUN}/2", Cancel(), hold=Hold.CORDON, specs=MOVERS)
    before = lab.node(CANARY)
    with pytest.raises(LockHeld, match=f"{RUN}/2"):
        lab.work.release([CANARY], FENCE, Cancel())
    assert replace(lab.node(CANARY), uptime_seconds=before.uptime_seconds) == before


def test_quarantine_stays_for_a_human(lab: Lab) -> None:
    lab.work.claim([CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)
    assert lab.work.quarantine({CANARY: "xid 79"}, FENCE, Cancel()).done == (CANARY,)
    node = lab.node(CANARY)
    assert f"{QUARANTINE_TAINT}={RUN}:NoSchedule" in node.taints
    assert node.annotations[REASON_ANNOTATION] == "xid 79"
    assert [left.kind for left in lab.reader.leftovers()] == ["taint"]
    assert "quarantined" in lab.reader.quiet([CANARY])[CANARY]


def test_a_node_of_another_name_fails_alone(lab: Lab) -> None:
    outcome = lab.work.claim(["gpu-none", CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)
    assert outcome.done == (CANARY,)
    assert outcome.failed == {"gpu-none": "there is no such node"}


def test_a_budget_that_never_lets_go_gives_the_node_back_undisturbed(lab: Lab) -> None:
    before, before_evicted = lab.node(CANARY), lab.evicted()
    lab.play.stage.fault("pdb-blocks-drain", CANARY)
    lab.work.claim([CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)
    outcome = lab.work.drain([CANARY], FENCE, Cancel(), users=USERS)
    assert "evicted before that: nothing" in outcome.given_back[CANARY]
    after = lab.node(CANARY)
    assert (after.taints, after.unschedulable, after.annotations) == (
        before.taints,
        before.unschedulable,
        before.annotations,
    )
    assert lab.evicted() == before_evicted


def test_an_outage_shorter_than_the_lease_is_waited_out(lab: Lab) -> None:
    lab.play.stage.fault("api-outage", "", {"seconds": "6"})
    assert lab.work.claim([CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS).done == (CANARY,)


def test_an_api_server_that_is_not_there_fails_every_node_with_a_reason(lab: Lab, tmp_path: Path) -> None:
    text = lab.play.stage.kubeconfig.read_text()
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(text.replace(lab.kube.access.server, "https://127.0.0.1:9"))
    outcome = lab.work_with(nowhere).claim([CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)
    assert "https://127.0.0.1:9" in outcome.failed[CANARY]


def marked(folder: Path) -> list[int]:
    """Processes that a supervisor of this run started, whatever became of it."""
    found = []
    for pid, _ in parents():
        try:
            if f"{supervisor.MARK}={folder}".encode() in Path("/proc", str(pid), "environ").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def test_a_cancelled_playbook_leaves_no_process_and_evicts_no_more(lab: Lab) -> None:
    lab.play.stage.fault("pdb-blocks-drain", CANARY)
    lab.work.claim([CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)
    cancel, before = Cancel(), set(Path(tempfile.gettempdir()).glob("ansible_knowngood_*"))
    lab.watcher.react = lambda p: cancel.set("Ctrl-C") if "may not go yet" in p.text else None
    with pytest.raises(Interrupted):
        lab.work.drain([CANARY], FENCE, cancel, users=USERS)
    assert marked(lab.folder) == []
    assert lab.node(CANARY).annotations[CLAIM_ANNOTATION] == FENCE
    assert set(Path(tempfile.gettempdir()).glob("ansible_knowngood_*")) <= before


RUNNER = """
import sys
import tempfile
from pathlib import Path
from knowngood.adapters.processes.ansible import AnsibleNodeWork
from knowngood.matrix.load import load
from knowngood.matrix.locate import playbooks_dir
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer
class Printer(Observer):
    def record(self, record): pass
    def progress(self, progress): print(progress.text, flush=True)
stage, folder = Path(sys.argv[1]), Path(sys.argv[2])
cluster = load(stage / "matrix").clusters["lab-small"]
work = AnsibleNodeWork(cluster, stage / "kubeconfig", folder, cluster.limits, Printer(), playbooks_dir(), "RUN")
work.drain(["lab-gpu-1"], sys.argv[3], Cancel(), users=["gpu", "rdma"])
"""


def test_after_sigkill_of_the_runner_no_ansible_process_is_alive_when_resume_acts(lab: Lab) -> None:
    before = lab.evicted()
    lab.play.stage.fault("pdb-blocks-drain", CANARY)
    lab.work.claim([CANARY], FENCE, Cancel(), hold=Hold.CORDON, specs=MOVERS)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(lab.play.stage.folder), str(lab.folder), FENCE],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    said = iter(runner.stdout)
    while "may not go yet" not in next(said):
        pass
    # Supervisor, runner's child, ansible-playbook, its worker, the module.
    assert len(marked(lab.folder)) >= 4
    runner.kill()
    runner.wait()
    runner.stdout.close()
    supervisor.wait_gone(lab.folder, 20, Cancel())
    assert marked(lab.folder) == []
    lab.play.stage.clear_faults()
    assert lab.evicted() == before
    resumed = lab.work.claim([CANARY], f"{RUN}/2", Cancel(), hold=Hold.CORDON, specs=MOVERS)
    assert resumed.done == (CANARY,)
    assert lab.work.drain([CANARY], f"{RUN}/2", Cancel(), users=USERS).done == (CANARY,)


def by_hand(lab: Lab, playbook: str, node: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What playbooks/README.md says to type."""
    extra = {
        "knowngood_nodes": [node],
        "knowngood_fence": FENCE,
        "knowngood_expect": {"nvidia-driver": NEW},
    }
    environ = {**environment(), "KUBECONFIG": str(lab.play.stage.kubeconfig)}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    command = ["ansible-playbook", str(playbooks_dir() / playbook), "-e", json.dumps(extra), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_a_canary_can_be_moved_by_hand_and_a_second_time_changes_nothing(lab: Lab) -> None:
    lab.declare("ring-1", OLD, NEW)
    assert by_hand(lab, "preflight.yml", OTHER).returncode == 0
    first = by_hand(lab, "canary.yml", OTHER)
    assert first.returncode == 0, first.stdout
    assert lab.node(OTHER).versions["nvidia-driver"] == NEW
    second = by_hand(lab, "canary.yml", OTHER)
    assert "changed=0" in second.stdout
    assert by_hand(lab, "release.yml", OTHER).returncode == 0
    assert lab.reader.leftovers() == []


def test_check_mode_says_who_would_be_evicted_and_evicts_nobody(lab: Lab) -> None:
    before_evicted = lab.evicted()
    by_hand(lab, "claim.yml", CANARY)
    checked = by_hand(lab, "drain.yml", CANARY, "--check", "-v")
    assert checked.returncode == 0, checked.stdout
    assert '"name": "hub"' in checked.stdout
    assert lab.evicted() == before_evicted

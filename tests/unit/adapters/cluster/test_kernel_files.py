"""A kubelet without OpenShift's journal endpoint: kernel lines come from a file, whole, and of the right boot."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from tests.movers import MOVERS
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE as GPU
from tests.unit.adapters.machines import OLD, banner, machine
from urllib3 import HTTPResponse

from knowngood.adapters.cluster import facts, journals, kernel_files, kernel_source, readouts
from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import refuse
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.kernel_log import KernelLog, parse, read
from knowngood.model.context import Window
from knowngood.model.errors import KnowngoodError, Location, Unreachable
from knowngood.model.gitops import GitOps
from knowngood.model.matrix import Cluster, Limits

NODE, BOOT = "n", "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
UP = 5000.0
LISTING = b'<a href="journal/">Moved Permanently</a>.\n\n'
XID = "NVRM: Xid (PCI:0000:1a:00): 79, GPU has fallen off the bus."


class Kubelet(FakeKube):
    """Upstream's: a file server over /var/log."""

    def __init__(self, journal: tuple[int, bytes] = (404, b"404 page not found\n"), **files: bytes) -> None:
        super().__init__()
        self.journal = journal
        self.files = {name.replace("_", "."): data for name, data in files.items()}
        self.short, self.sized = 0, True
        self.asked: list[str] = []
        self.put(f"/api/v1/nodes/{NODE}", {"status": {"nodeInfo": {"bootID": BOOT}}})

    def request(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None,
        own: Mapping[str, str],
        **_options: Any,
    ) -> HTTPResponse:
        name = where.rpartition("/proxy/logs/")[2]
        self.asked.append(name)
        code, data = self.journal
        if name != "journal":
            code, data = (200, self.files[name]) if name in self.files else (404, b"404 page not found\n")
        if code >= 400:
            refuse(code, data, where)
        headers = {"Content-Length": str(len(data) + self.short)} if self.sized else {}
        return HTTPResponse(
            body=BytesIO(data),
            headers=headers,
            status=code,
            preload_content=False,
            enforce_content_length=True,
            request_method="GET",
        )


def booted() -> float:
    return time.time() - UP


def rsyslog(*lines: tuple[float, str], begun: float | None = None, tag: str = "kernel") -> bytes:
    """Lines with a zone and the kernel's own time."""
    at = booted() if begun is None else begun
    return b"".join(
        f"{datetime.fromtimestamp(at + s, UTC).isoformat()} n {tag}: [{s:12.6f}] {text}\n".encode()
        for s, text in lines
    )


def talos(*lines: tuple[float, str]) -> bytes:
    stamps = ((datetime.fromtimestamp(booted() + s, UTC), text) for s, text in lines)
    return b"".join(f"{at:%Y-%m-%d %H:%M:%S.%f}123 +0000 UTC: kern: {text}\n".encode() for at, text in stamps)


def without_year(*lines: tuple[float, str]) -> bytes:
    stamps = ((datetime.fromtimestamp(booted() + s, UTC), s, text) for s, text in lines)
    return b"".join(f"{at:%b %d %H:%M:%S} n kernel: [{s:12.6f}] {text}\n".encode() for at, s, text in stamps)


PRESENT = (
    (0.0, "Linux version 6.8.0"),
    (40.0, "NVRM: loading NVIDIA UNIX x"),
    (60.5, XID),
    (70.0, "audit: y"),
)


def log_of(kube: Kubelet, opened: float = 0.0) -> KernelLog:
    def fetch(boot: int) -> str:
        return journals.read(kube, NODE, boot=boot, up=UP)

    return read(fetch, Window(BOOT, opened, ""), BOOT)


@pytest.mark.parametrize("journal", [(404, b"404 page not found\n"), (200, LISTING), (405, b"disabled")])
@pytest.mark.parametrize(
    ("name", "form"), [("kern_log", rsyslog), ("kern_log", without_year), ("kernel_log", talos)]
)
def test_the_kernels_lines_come_from_a_file(journal: tuple[int, bytes], name: str, form: Any) -> None:
    kube = Kubelet(journal, **{name: form(*PRESENT)})
    log = log_of(kube)
    assert (log.trouble, log.late) == ("", "")
    assert [(round(line.monotonic, 1), line.message) for line in log.lines] == list(PRESENT[:3])
    assert {line.boot_id for line in log.lines} == {BOOT.replace("-", "")}


def test_what_is_known_to_have_no_journal_is_asked_for_its_file_once() -> None:
    kube = Kubelet(kern_log=rsyslog(*PRESENT))
    log_of(kube)
    kube.asked.clear()
    log_of(kube)
    assert kube.asked == ["kern.log"]


def test_openshifts_endpoint_is_asked_for_no_file() -> None:
    kube = Kubelet((200, entry_of_the_journal()))
    assert len(list(kernel_source.ask(kube, NODE, {}))) == 1
    assert kube.asked == ["journal"]


def test_only_the_present_boots_lines_count_and_those_before_it_are_another_boot() -> None:
    before = rsyslog((0.0, "Linux version 6.5.0"), (9.0, XID), begun=booted() - 90_000)
    kube = Kubelet(kern_log=before + rsyslog(*PRESENT[:2]))
    assert [line.message for line in log_of(kube).lines] == [text for _, text in PRESENT[:2]]
    older, _ = parse(journals.read(kube, NODE, boot=-1))
    assert [(line.monotonic, line.message) for line in older] == [(0.0, "Linux version 6.5.0"), (9.0, XID)]
    assert older[0].boot_id != BOOT.replace("-", "")
    assert parse(journals.read(kube, NODE, boot=-2)) == ([], "")


@pytest.mark.parametrize("back", [3600.0, 100_000.0])
def test_a_file_whose_newest_boot_is_not_the_nodes_is_no_answer(back: float) -> None:
    """A syslog that has been dead since before the reboot would else show a clean boot."""
    stale = rsyslog(*PRESENT[:2], begun=booted() - back)
    assert "not the node's present one" in log_of(Kubelet(kern_log=stale)).trouble
    grown = Kubelet(kern_log=rsyslog(*PRESENT, (UP + 4000, "NVRM: x")))
    assert "older than the node's" in log_of(grown).trouble


def test_a_file_that_does_not_reach_back_is_told() -> None:
    log = log_of(Kubelet(kern_log=rsyslog(*PRESENT[2:])), opened=50.0)
    assert "begins at 60.5 s, after the window opened" in log.late


def test_an_answer_that_was_cut_off_or_has_no_length_is_no_answer() -> None:
    kube = Kubelet(kern_log=rsyslog(*PRESENT))
    kube.short = 10
    assert "can't be read" in log_of(kube).trouble
    kube.short, kube.sized = 0, False
    assert "no length" in log_of(kube).trouble


def test_a_line_that_is_being_written_is_left_for_the_next_look() -> None:
    data = rsyslog(*PRESENT[:2]) + rsyslog(PRESENT[2])[:-20]
    assert len(log_of(Kubelet(kern_log=data)).lines) == 2


def test_lines_without_any_time_since_boot_are_no_answer() -> None:
    data = b"Nov 29 10:00:00 n kernel: NVRM: x\n"
    assert "no time since boot" in log_of(Kubelet(kern_log=data)).trouble


def test_other_programs_lines_do_not_count() -> None:
    data = rsyslog(*PRESENT[:2]) + rsyslog((55.0, XID), tag="monitor[9]")
    assert len(log_of(Kubelet(kern_log=data)).lines) == 2


def test_without_journal_and_file_it_says_what_was_looked_for() -> None:
    with pytest.raises(Unreachable, match=r"no journal endpoint.*kern\.log, kernel\.log"):
        facts.journal(Kubelet(), NODE, up=UP)
    assert "can't be read" in log_of(Kubelet()).trouble


def test_a_node_that_is_not_there_is_not_taken_for_one_without_a_journal() -> None:
    gone = json.dumps({"reason": "NotFound", "message": f'nodes "{NODE}" not found'}).encode()
    kube = Kubelet((404, gone), kern_log=rsyslog(*PRESENT))
    with pytest.raises(KnowngoodError, match="not found"):
        facts.journal(kube, NODE)
    assert kube.asked == ["journal"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"grep": "NVRM: Xid"}, [60.5]),
        ({"grep": "nvrm"}, [40.0, 60.5]),
        ({"tail": "1"}, [70.0]),
        ({"tail": "1", "grep": "Linux version"}, [0.0]),
        ({"since": "-15s"}, [60.5, 70.0]),
        ({"until": "-25s", "tail": "1"}, [40.0]),
        ({"boot": "-1"}, []),
    ],
)
def test_a_journals_query_is_answered(query: dict[str, str], wanted: list[float]) -> None:
    kube = Kubelet(kern_log=rsyslog(*PRESENT))
    found = [json.loads(line) for line in kernel_source.ask(kube, NODE, query, up=UP)]
    assert [int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6 for entry in found] == wanted


def test_the_load_of_a_module_is_found_in_a_file() -> None:
    banner = "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build"
    kube = Kubelet(kern_log=rsyslog(PRESENT[0], (40.0, banner)))
    load = facts.module_load(kube, NODE, up=lambda: UP)
    assert load is not None
    assert (load.version, load.boot_id, load.at) == ("580.95.05", BOOT, 40.0)


@pytest.mark.parametrize("up", [None, lambda: None])
def test_a_load_of_before_a_reboot_is_not_taken_for_one_of_this_boot(up: kernel_files.Uptime) -> None:
    """A syslog that did not come back: the file ends with the old boot, and the node has a new boot id."""
    banner = "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build"
    kube = Kubelet(kern_log=rsyslog(PRESENT[0], (40.0, banner), begun=booted() - 100_000))
    with pytest.raises(kernel_files.NoUptimeError, match="uptime is not known"):
        facts.module_load(kube, NODE, up=up)
    with pytest.raises(Unreachable, match="not the node's present one"):
        facts.module_load(kube, NODE, up=UP)


@pytest.mark.parametrize("back", [0.0, 100_000.0])
def test_a_new_process_reads_loads_through_files_too(monkeypatch: pytest.MonkeyPatch, back: float) -> None:
    """It learns from the first answer that files are all there is, and then asks a pod for the uptime."""
    kube = Kubelet(kern_log=rsyslog(PRESENT[0], load_told(), begun=booted() - back))
    machine(kube)
    said = f"{readouts.BOOT_ID}:{BOOT}\n{readouts.UPTIME}:{UP} 1.0\n"
    monkeypatch.setattr(pod_exec, "run", lambda *_where, **_options: Ran(said, "", 0))
    gitops, where = GitOps("x", "main", ()), Location("clusters/ams.yaml", 1)
    cluster = Cluster("ams", "p", "r", (), (), (GPU,), (), (), (), gitops, (), Limits(), "hold", where)
    found = KubeCluster(kube, cluster).loads((GPU,), MOVERS)[GPU]
    if back:
        assert "not the node's present one" in found.trouble
    else:
        assert (found.trouble, [(mark.version, mark.at) for mark in found.marks.values()]) == (
            "",
            [(OLD, 40.0)],
        )


def load_told() -> tuple[float, str]:
    return 40.0, str(json.loads(banner(OLD, 40.0))["MESSAGE"])


def test_what_one_kubelet_lacks_says_nothing_of_the_others() -> None:
    """One node's 404 does not switch the cluster to files."""
    kube = Kubelet(kern_log=rsyslog(*PRESENT))
    log_of(kube)
    kube.journal = (200, entry_of_the_journal())
    kube.asked.clear()
    assert len(list(kernel_source.ask(kube, "other", {}))) == 1
    assert kube.asked == ["journal"]
    assert [kernel_source.proves_its_end(kube, node) for node in (NODE, "other")] == [True, False]


def entry_of_the_journal() -> bytes:
    values = {
        "_TRANSPORT": "kernel",
        "_BOOT_ID": BOOT,
        "__MONOTONIC_TIMESTAMP": "1",
        "MESSAGE": "Linux version 5",
    }
    return json.dumps(values).encode() + b"\n"

"""What is read of a node is what the kernel said; what is not understood is not guessed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.movers import EVERY
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import BOOT, banner

from knowngood.adapters.cluster import facts, journals
from knowngood.adapters.cluster.readouts import gpu_of, parse_grep
from knowngood.adapters.kubernetes.client import Object
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark

DASHED = "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f"


def test_the_newest_banner_is_the_load() -> None:
    lines = [json.loads(banner("580.173.02", 12.5)), json.loads(banner("595.91.07", 500.25))]
    assert facts.last_load(lines) == Mark("595.91.07", DASHED, 500.25)


def test_of_many_nodes_only_those_that_are_named_are_listed() -> None:
    """A cluster has thousands; above a hundred names it listed them all."""

    class Cluster(FakeKube):
        def list(self, where: str, labels: str = "", *_: Any, **__: Any) -> list[Object]:
            asked = re.fullmatch(rf"{facts.HOSTNAME} in \((.+)\)", labels)
            assert asked, labels
            assert len(labels) < 8192, "a proxy takes no longer URL"
            return [{"metadata": {"name": name}} for name in asked[1].split(",")]

    names = [f"gpu-{n}.cluster.example.com" for n in range(250)]
    assert [*facts.nodes_named(Cluster(), names)] == names


def test_the_proprietary_modules_banner_is_one_too() -> None:
    text = "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025"
    entry = {"MESSAGE": text, "_BOOT_ID": BOOT, "__MONOTONIC_TIMESTAMP": "7000000"}
    assert facts.last_load([entry]) == Mark("550.163.01", DASHED, 7.0)


def test_no_banner_is_no_load() -> None:
    assert facts.last_load([{"MESSAGE": "NVRM: Xid (PCI:0000:18:00): 79"}]) is None


def test_lines_of_user_space_are_not_the_kernels() -> None:
    """Any process may print the banner's words into the journal."""
    kube = FakeKube()
    said = json.loads(banner("595.91.07", 1.0)) | {"_TRANSPORT": "stdout"}
    kube.journals["n"] = json.dumps(said)
    assert facts.module_load(kube, "n") is None


def test_an_empty_journal_is_not_an_error_but_another_format_is() -> None:
    kube = FakeKube()
    kube.journals["n"] = "-- No entries --\n"
    assert facts.kernel_lines("n", facts.journal(kube, "n")) == []
    kube.journals["n"] = "Aug 22 03:15:00 gpu-1 kernel: NVRM: loading"
    with pytest.raises(Unreachable):
        facts.kernel_lines("n", facts.journal(kube, "n"))


@pytest.mark.parametrize("mark", ["\u2028", "\x85"])
def test_only_a_line_feed_ends_a_line_of_the_journal(mark: str) -> None:
    """A process name may hold any other mark of Unicode."""
    kube, named = FakeKube(), json.loads(banner("595.91.07", 1.0))
    named["MESSAGE"] = f"NVRM: name=a{mark}b"
    kube.journals["n"] = f"{json.dumps(named, ensure_ascii=False)}\n{banner('595.91.07', 2.0)}\n"
    assert len(facts.kernel_lines("n", facts.journal(kube, "n"))) == 2
    assert facts.module_load(kube, "n") == Mark("595.91.07", DASHED, 2.0)


@pytest.mark.parametrize(
    ("image", "version", "expected"),
    [
        ("mirror:5000/nvidia/driver:595.91.07-rhcos4.18", "595.91.07", True),
        ("mirror:5000/nvidia/driver:595.91.07", "595.91.07", True),
        ("mirror/nvidia/driver:595.91.070-rhcos4.18", "595.91.07", False),
        ("mirror/nvidia/driver:580.173.02-rhcos4.18", "595.91.07", False),
        ("mirror/nvidia/driver@sha256:aa", "595.91.07", True),  # a digest can't tell
    ],
)
def test_an_images_tag_carries_the_version(image: str, version: str, expected: bool) -> None:
    assert facts.carries(image, version) is expected


DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("image", "identity", "expected"),
    [
        ("mirror/driver:595", f"mirror/driver@{DIGEST}", f"mirror/driver:595@{DIGEST}"),  # CRI-O
        ("mirror/driver:595", f"docker-pullable://mirror/driver@{DIGEST}", f"mirror/driver:595@{DIGEST}"),
        ("mirror/driver:595", DIGEST, f"mirror/driver:595@{DIGEST}"),  # containerd: the image's own id
        (f"mirror/driver@{DIGEST}", f"mirror/driver@{DIGEST}", f"mirror/driver@{DIGEST}"),
        ("mirror/driver:595", "", "mirror/driver:595"),  # it did not start
        ("mirror/driver:595", "mirror/driver:595", "mirror/driver:595"),
    ],
)
def test_a_running_image_is_known_by_the_digest_that_was_pulled(
    image: str, identity: str, expected: str
) -> None:
    pod = {
        "spec": {"containers": [{"name": "other", "image": "x:1"}, {"name": "ctr", "image": image}]},
        "status": {
            "containerStatuses": [
                {"name": "ctr", "imageID": identity},
                {"name": "other", "imageID": "x@sha256:" + "cd" * 32},
            ]
        },
    }
    assert facts.running_image(pod, "ctr") == expected
    assert facts.running_image(pod) == "x:1@sha256:" + "cd" * 32
    assert facts.running_image({"spec": pod["spec"]}, "ctr") == image


def test_pci_addresses_in_paths_are_not_cut_at_their_colons() -> None:
    path = "/proc/driver/nvidia/gpus/0000:18:00.0/information"
    read = parse_grep(f"{path}:GPU Firmware: \t595.91.07\n/proc/uptime:12.3 4.5\ngrep: no such file\n")
    assert read == {path: ["GPU Firmware: \t595.91.07"], "/proc/uptime": ["12.3 4.5"]}
    assert [gpu_of(p) for p in read] == ["0000:18:00.0", ""]


def test_extended_resources_are_those_with_a_vendor() -> None:
    found = facts.extended(
        {"cpu": "64", "memory": "1Ti", "hugepages-2Mi": "0", "nvidia.com/gpu": 8, "rdma/a": "63"}
    )
    assert found == {"nvidia.com/gpu": "8", "rdma/a": "63"}


def test_a_runs_first_look_reads_every_line_by_which_an_arrival_is_told() -> None:
    """Else what came before the run can't be compared at its end."""
    proofs = [spec.proof for spec in EVERY.values() if spec.proof]
    query = re.compile(journals.pattern("|".join(proof.log for proof in proofs)))
    assert all(query.search(proof.log) for proof in proofs)
    assert journals.pattern(facts.DRIVER_PROOF.log) == journals.pattern(), "one query for both"

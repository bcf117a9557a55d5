"""Whatever lies below --root: a document, an honest one, and no hang; nothing outside the root is read."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowngood.probe import files, rdma, training
from knowngood.probe.host import Host

from .conftest import DRIVER, write

RUNNER = Path(__file__).parents[3] / "runner"
MODULE = "sys/module/nvidia/version"
CLASS = "sys/class/infiniband"
COUNTER = f"{CLASS}/mlx5_0/ports/1/counters/link_downed"
Spoil = Callable[[Path], object]


def replaced(path: str, make: Spoil) -> Spoil:
    def spoil(root: Path) -> None:
        (root / path).unlink()
        make(root / path)

    return spoil


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has 108 bytes at most
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


UNREADABLE: dict[str, tuple[Spoil, str]] = {
    "a FIFO": (replaced(MODULE, os.mkfifo), "a FIFO, not a file"),
    "a FIFO in the place of a folder": (
        lambda r: _instead(r, "proc/driver/nvidia/gpus"),
        "a FIFO, not a file",
    ),
    "a socket": (replaced(MODULE, socket_at), "a socket, not a file"),
    "a device": (replaced(MODULE, lambda p: p.symlink_to("/dev/null")), ""),
    "a loop of links": (replaced(MODULE, loop), "a loop of links"),
    "a folder": (replaced(MODULE, Path.mkdir), "a folder, not a file"),
    "binary junk": (lambda r: (r / MODULE).write_bytes(bytes(range(256))), "no version"),
    "cut UTF-8": (lambda r: (r / MODULE).write_bytes("é".encode()[:1]), "no version"),
    "a line of 1 MB": (lambda r: (r / MODULE).write_bytes(b"5" * 1024 * 1024), "no version"),
    "more than 1 MB": (lambda r: (r / MODULE).write_bytes(b"5" * 1024 * 1024 + b"5"), "longer than"),
    "a name that is no text": (
        lambda r: (r / "proc/driver/nvidia/gpus" / os.fsdecode(b"\xff")).mkdir(),
        "is no text",
    ),
}


def _instead(root: Path, path: str) -> None:
    (root / path).rename(root / "moved")
    os.mkfifo(root / path)


def probe(root: Path, *payloads: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-S", "-m", "knowngood.probe", "run", *payloads, "--deadline", "20"]
    done = subprocess.run(
        [*command, "--root", str(root), "--params", '{"gpus": 2}'],
        env={"PYTHONPATH": str(RUNNER), "NODE_NAME": "gpu-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {name: one for d in documents for name, one in d["results"].items()}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_can_not_be_read_speaks_neither_for_the_node_nor_against_it(root: Path, case: str) -> None:
    spoil, words = UNREADABLE[case]
    spoil(root)
    host = Host(root)
    found = host.refusal(2)
    assert found is not None
    assert words in found["reason"]
    assert found["ok"] is (False if case == "a device" else None)  # which is not below this root


def test_a_hostile_root_gives_documents_and_exit_code_3(root: Path) -> None:
    UNREADABLE["a FIFO"][0](root)
    _instead(root, CLASS)
    code, found = probe(root, "rdma", "training", "inference")
    assert code == 3
    assert {name: one["ok"] for name, one in found.items()} == {
        "rdma": None,
        "training": None,
        "inference": None,
    }
    assert f"/{MODULE} can't be read: a FIFO, not a file" in found["training"]["reason"]
    assert found["rdma"]["measured"]["unreadFiles"][CLASS] == "a FIFO, not a file"


@pytest.mark.parametrize("path", [COUNTER, "proc/sys/kernel/random/boot_id", "proc/version"])
def test_one_file_that_can_not_be_read_is_told_by_the_exit_code(root: Path, path: str) -> None:
    (root / path).unlink()
    os.mkfifo(root / path)
    code, found = probe(root, "rdma")
    assert code == 3
    assert found["rdma"]["measured"]["counters"]["mlx5_1/1"]["link_downed"] == 0, "the others are read"


@pytest.mark.parametrize("missing", ["", "no/such/root"])
def test_nothing_there_is_could_not(tmp_path: Path, missing: str) -> None:
    code, found = probe(tmp_path / missing, "rdma", "training")
    assert (code, [one["ok"] for one in found.values()]) == (3, [None, None])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (str(2**64 - 1), 2**64 - 1),
        (str(2**64), None),
        ("9" * 100_000, None),
        ("-1", None),
        ("1e9", None),
        ("\u0661", None),  # a digit elsewhere
    ],
)
def test_a_counter_is_a_number_of_64_bits_or_can_not_be_read(
    root: Path, text: str, value: int | None
) -> None:
    write(root, COUNTER, text)
    host = Host(root)
    assert rdma.run(host, {})["measured"]["counters"]["mlx5_0/1"].get("link_downed") == value
    assert (COUNTER in host.unread) is (value is None)


def test_a_link_is_followed_as_on_the_host_and_never_out_of_the_root(
    root: Path, tmp_path_factory: Any
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(outside, "secret", "not ours")
    (root / "etc").mkdir()
    for name, target in {
        "absolute": f"{outside}/secret",
        "upwards": "../" * 40 + f"{outside}/secret".lstrip("/"),
        "folder/secret": "",
        "own": f"/{MODULE}",
    }.items():
        if target:
            (root / "etc" / name).symlink_to(target)
    (root / "etc/folder").symlink_to(outside)
    host = Host(root)
    assert [host.text(f"etc/{n}") for n in ("absolute", "upwards", "folder/secret")] == [None] * 3
    assert host.names("etc/folder") == []
    assert host.text("etc/own") == DRIVER  # an absolute link of the host is the host's
    assert host.text("../" * 9 + MODULE) == DRIVER
    assert host.unread == {}


def test_a_file_is_no_folder(root: Path) -> None:
    host = Host(root)
    assert (host.text(f"{MODULE}/more"), host.names(MODULE), host.text(f"{MODULE}/.")) == (None, [], DRIVER)
    assert host.unread == {}, "nothing is there"


def test_a_folder_without_end_is_not_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_NAMES", 1)
    host = Host(root)
    assert (host.gpus(), host.unread) == ([], {"proc/driver/nvidia/gpus": "more than 1 entries"})


NAMES = st.sampled_from(
    [
        *(
            MODULE,
            "proc/uptime",
            "proc/version",
            "proc/driver/nvidia/version",
            "proc/kallsyms",
            "proc/config.gz",
        ),
        *(
            "sys/kernel/debug/dma_buf/bufinfo",
            "sys/kernel/mm/memory_peers/nv_mem",
            "sys/module/nvidia_peermem/refcnt",
        ),
        *(
            f"{CLASS}/mlx5_0/{file}"
            for file in ("fw_ver", "node_guid", "device/uevent", "device/current_link_speed")
        ),
        *(f"{CLASS}/mlx5_0/ports/1/{file}" for file in ("state", "phys_state", "rate", "link_layer")),
        *(COUNTER, f"{CLASS}/mlx5_0/ports/x/state", f"{CLASS}/mlx5_0/device/sfnum"),
    ]
)
CONTENT = st.one_of(
    st.binary(max_size=300),
    st.sampled_from(
        [
            *(b"9" * 5000, b"nan inf", b"1e999", b"\x00" * 64, b"4: ACTIVE\n" * 9, b"{", b"\xed\xa0\x80"),
            *(b"PCI_SLOT_NAME=" + b"../" * 99, b"\x1f\x8b\x08\x00", gzip.compress(b"0" * (16 << 20))),
            *(
                b"9" * 400 + b" Gb/sec",
                b"1.2.3 GT/s",
                b"linux_banner " * 999,
                b"0000000000000000 T linux_banner",
            ),
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, CONTENT | st.sampled_from(["fifo", "loop", "folder", "up"]), max_size=6))
def test_any_content_gives_an_answer_that_is_json(what: dict[str, bytes | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in what.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            match content:
                case "fifo":
                    os.mkfifo(root / path)
                case "loop" | "up":
                    (root / path).symlink_to(
                        "../" * 30 + "etc/passwd" if content == "up" else Path(path).name
                    )
                case "folder":
                    (root / path).mkdir()
                case _:
                    (root / path).write_bytes(bytes(content))  # type: ignore[arg-type]
        for found in (rdma.run(Host(root), {}), training.run(Host(root), {"gpus": 1})):
            json.dumps(found, allow_nan=False)
            assert found["ok"] is not True or found["measured"]["ports"]

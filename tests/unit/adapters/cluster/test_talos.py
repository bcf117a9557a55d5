"""What is asked through talosctl, and how its answers are read: a program of that name on PATH, as in a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.adapters.cluster import talos
from knowngood.adapters.waiting import working
from knowngood.model.errors import Unreachable
from knowngood.model.verdict import Verdict

CLIENT = "Client:\n\tTag:         v1.13.2\n\tSHA:         5dd15a1\n"
SERVER = (
    "Server:\n\tNODE:        10.0.0.7\n\tTag:         v1.13.8\n\tSHA:         47731624\n\tEnabled:     RBAC\n"
)
HELP = "--drain   drain the Kubernetes node before rebooting (cordon + evict pods) (default true)"
IMAGE = f"registry.example.com/talos/installer:v1.13.8@sha256:{1:064x}"


def program(folder: Path, patch: pytest.MonkeyPatch, text: str) -> None:
    """A talosctl in a folder that stands first on PATH."""
    file = folder / talos.PROGRAM
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    patch.setenv("PATH", f"{folder}:/usr/bin:/bin")


BOOT = "0b7c6f3e-1111-4222-8333-444455556666"


def says(
    folder: Path,
    patch: pytest.MonkeyPatch,
    stdout: str = "",
    stderr: str = "",
    code: int = 0,
    boot: str = BOOT,
) -> None:
    """A talosctl that answers so, whatever it is asked."""
    (folder / "out").write_text(stdout)
    (folder / "err").write_text(stderr)
    (folder / "boot").write_text(f"{boot}\n")
    reads = f'[ "$1" = read ] && exec cat {folder}/boot'
    program(folder, patch, f"{reads}\ncat {folder}/out\ncat {folder}/err >&2\nexit {code}")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "talosconfig"
    file.write_text("context: lab\n")
    monkeypatch.setenv(talos.CONFIG, str(file))
    return file


def test_the_machines_own_version_is_told_not_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(tmp_path, monkeypatch, CLIENT + SERVER)
    assert talos.tell("10.0.0.7") == talos.Told("1.13.8", BOOT)
    says(tmp_path, monkeypatch, CLIENT + SERVER, boot="error: permission denied")
    with pytest.raises(Unreachable, match="tells no boot: error: permission denied"):
        talos.tell("10.0.0.7")


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "words"),
    [
        (
            CLIENT,
            "rpc error: code = Unavailable desc = connection refused\n",
            1,
            "ended with 1: rpc error: code = Una",
        ),
        (CLIENT, "", 0, "tells of 0 machines and 0 versions"),
        (CLIENT + SERVER + SERVER.removeprefix("Server:\n"), "", 0, "tells of 2 machines and 2 versions"),
        (CLIENT + SERVER.replace("Tag", "Tug"), "", 0, "tells of 1 machines and 0 versions"),
        ("\x00\x1b[31m", "\x1b[31m\n", 3, "ended with 3"),
    ],
    ids=["refused", "no server", "two machines", "other words", "no text"],
)
def test_an_answer_that_can_not_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str, code: int, words: str
) -> None:
    says(tmp_path, monkeypatch, stdout, stderr, code)
    with pytest.raises(Unreachable, match=words) as error:
        talos.tell("10.0.0.7")
    assert "\x1b" not in str(error.value)


def test_one_that_gives_no_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talos, "PATIENCE", 0.1)
    program(tmp_path, monkeypatch, "exec sleep 20")
    with pytest.raises(Unreachable, match="gave no answer in"):
        talos.tell("10.0.0.7")


def test_an_upgrade_is_told_not_to_drain_and_to_come_through_the_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    program(
        tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; echo "10.0.0.7: upgrade completed"; exit 4'
    )
    upgrade = talos.Upgrade("10.0.0.7", IMAGE)
    with working():
        upgrade._process.wait(5)
    assert (upgrade.ended, upgrade.words) == (4, "10.0.0.7: upgrade completed")
    upgrade.stop()
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:5] == ["upgrade", "--nodes", "10.0.0.7", "--image", IMAGE]
    assert asked[5:] == ["--drain=false", "--wait=false", "--reboot-mode=powercycle"]
    assert not any(str(config) in word or "config" in word for word in asked), "who may ask is in no argument"


def test_one_that_runs_is_ended_with_us_also_where_it_does_not_heed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talos, "ENDS", 0.1)
    program(tmp_path, monkeypatch, "trap '' TERM; while :; do sleep 0.05; done")
    upgrade = talos.Upgrade("10.0.0.7", IMAGE)
    assert upgrade.ended is None
    upgrade.stop()
    assert upgrade._process.poll() is not None


def test_one_that_is_not_there_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (lambda: talos.tell("10.0.0.7"), lambda: talos.Upgrade("10.0.0.7", IMAGE)):
        with pytest.raises(Unreachable, match="can't be run"):
            ask()


def test_all_that_is_needed_here_is_asked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    says(tmp_path, monkeypatch, HELP)
    assert talos.ready() == []
    config.write_text("")
    (empty,) = talos.ready()
    assert (empty.verdict, empty.where) == (Verdict.FAIL, talos.CONFIG)
    config.unlink()
    (gone,) = talos.ready()
    assert "can't be read" in str(gone)
    monkeypatch.delenv(talos.CONFIG)
    (unset,) = talos.ready()
    assert "nothing says how machines are asked" in str(unset)


def test_a_talosctl_that_would_drain_by_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    says(tmp_path, monkeypatch, "Client:\n\tTag:         v1.12.4\n")
    (old,) = talos.ready()
    assert "it has no --drain: version 1.12.4 would drain by itself" in str(old)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    (none,) = talos.ready()
    assert (none.where, none.verdict) == (talos.PROGRAM, Verdict.FAIL)


def node(image: str = "Talos (v1.13.8)", address: str = "10.0.0.7", boot: str = BOOT) -> dict[str, object]:
    addresses = [{"type": "Hostname", "address": "x"}, {"type": "InternalIP", "address": address}]
    return {
        "metadata": {"name": "gpu-1"},
        "status": {"nodeInfo": {"osImage": image, "bootID": boot}, "addresses": addresses if address else []},
    }


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (node(), ""),
        (node("Talos (v1.13.7)"), "its Talos tells 1.13.8 (boot 0b7c6f3e), and its node 1.13.7"),
        (node(boot=BOOT.replace("0b", "1b")), "and its node 1.13.8 (boot 1b7c6f3e)"),
        (node("Ubuntu 24.04.3 LTS"), "its node tells no Talos that can be read"),
        (node(address=""), "its node tells no Talos that can be read, or no address"),
    ],
    ids=["well", "another", "another boot", "no Talos", "no address"],
)
def test_each_machine_tells_what_its_node_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: dict[str, object], words: str
) -> None:
    says(tmp_path, monkeypatch, CLIENT + SERVER)
    found = list(talos.against({"gpu-1": seen}))
    assert [f.verdict for f in found] == ([Verdict.INCONCLUSIVE] if words else [])
    assert words in "".join(map(str, found))


def test_a_machine_that_does_not_answer_is_a_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(tmp_path, monkeypatch, CLIENT, "connection refused", 1)
    (found,) = talos.against({"gpu-1": node()})
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.hint == "talosctl version --nodes 10.0.0.7"

"""An operator's night on a real twin, command by command: what each says, and that it does what it says.

One twin for all: each test takes the cluster as the one before left it, at rest, and may leave it on another release.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tests.integration.play import Play, environment, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.report import published

CLUSTER = "lab-small"
SCHEMAS = {name: published.schema(name) for name in ("summary", "gate")}
OLD, NEW = "580.173.02", "595.91.07"


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with staged(tmp_path_factory.mktemp("night") / "stage", CLUSTER) as found:
        yield found


def running_drivers(play: Play) -> set[str]:
    """The modules that run now, by the twin's own files."""
    roots = (play.stage.state / "nodes").glob("*/root/sys/module/nvidia/version")
    return {root.read_text().strip() for root in roots}


def newest(play: Play) -> str:
    """The newest run's id."""
    return str(json.loads(play.knowngood("status", "--output", "json").stdout)["run"])


def pinned(play: Play) -> str:
    """The release that the cluster rests on."""
    return str(play.knowngood("show", "cluster", CLUSTER, "-o", "json").result["release"])


def ring_of(play: Play) -> str:
    """The cluster's canary ring."""
    return str(play.knowngood("show", "cluster", CLUSTER, "-o", "json").result["rings"][0]["name"])


def aim(play: Play) -> tuple[str, str]:
    """A release to go to from where the cluster rests, and its driver."""
    return ("r580", OLD) if pinned(play) == "r595" else ("r595", NEW)


def when(condition: Callable[[], bool], deadline: float = 120.0) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


def intended(runs: set[Path], verb: str) -> bool:
    """Whether one of these runs has begun a step of that verb; a run has a folder before it has a record."""
    journals = [run / "journal.jsonl" for run in runs]
    lines = [line for j in journals if j.exists() for line in j.read_text().split("\n")[:-1]]
    records = [json.loads(line) for line in lines]
    return any(r["type"] == "intent" and r["step"].endswith(f"/{verb}") for r in records)


def interrupted_at(play: Play, verb: str, *arguments: str) -> tuple[int, str, str]:
    """Start a command, stop it as Ctrl-C does at a verb of its run; exit code and streams."""
    known = set(play.stage.runs.glob("*"))
    command = play.command(*arguments)
    with subprocess.Popen(
        command, cwd=play.stage.folder, env=environment(), stdout=-1, stderr=-1, text=True
    ) as process:
        when(lambda: process.poll() is not None or intended(set(play.stage.runs.glob("*")) - known, verb))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


def test_a_wrong_kubeconfig_is_refused_and_nothing_is_written(play: Play, tmp_path: Path) -> None:
    """The matrix pins another cluster than the kubeconfig reaches."""
    matrix = tmp_path / "matrix"
    shutil.copytree(play.stage.matrix, matrix)
    file = matrix / "clusters" / f"{CLUSTER}.yaml"
    pin = "identity: {uid: 00000000-0000-0000-0000-000000000000, ca: " + "0" * 64 + "}\n"
    file.write_text(file.read_text() + pin)
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgSign=false"]
    subprocess.run(["git", *identity, "commit", "-qam", "pin"], cwd=matrix, check=True)
    commits = play.commits()
    for command in (["upgrade", CLUSTER, "--to", "r595", "--yes"], ["gate", CLUSTER]):
        ended = play.knowngood(*command, "--matrix", str(matrix))
        assert ended.code == 2
        assert "another cluster" in ended.stderr
    assert play.commits() == commits
    assert not list(play.stage.runs.glob("*"))


def test_the_gates_judge_a_cluster_at_rest(play: Play) -> None:
    ended = play.knowngood("gate", CLUSTER, "--output", "json", "--out", str(play.stage.folder / "gate"))
    assert ended.code == 0, ended.stdout + ended.stderr
    assert ended.result["verdict"] == "pass"
    judgement = SCHEMAS["summary"]["$defs"]["judgement"] | {"$defs": SCHEMAS["summary"]["$defs"]}
    for found in ended.result["judgements"]:
        Draft202012Validator(judgement).validate(found)
    assert set(ended.result) == set(SCHEMAS["gate"]["required"])
    assert "<testsuites" in (play.stage.folder / "gate" / "junit.xml").read_text()


def test_a_baseline_is_judged_against_and_another_release_does_not_pass(play: Play) -> None:
    file = play.stage.folder / "baseline.json"
    assert play.knowngood("gate", CLUSTER, "--baseline", str(file)).code == 0
    assert set(json.loads(file.read_text())["windows"]) == {"lab-gpu-1", "lab-gpu-2"}
    assert play.knowngood("gate", CLUSTER, "--since", str(file)).code == 0
    other = play.knowngood("gate", CLUSTER, "--since", str(file), "--release", "r595")
    assert other.code == 1
    assert "drift" in other.stdout


def test_two_drivers_for_one_node_are_refused_before_anything_is_touched(play: Play) -> None:
    """The GPU Operator then stops for the whole cluster: a run would drain, wait in vain and blame the release."""
    kube = Kube(play.stage.kubeconfig)
    where = path("nvidia.com/v1alpha1", "nvidiadrivers")

    def told(words: str) -> bool:
        return all(words in str(found.get("status")) for found in kube.list(where))

    spec = {**kube.get(f"{where}/ring-1")["spec"], "nodeSelector": {"kubernetes.io/hostname": "lab-gpu-2"}}
    kind = {"apiVersion": "nvidia.com/v1alpha1", "kind": "NVIDIADriver"}
    kube.create(where, {**kind, "metadata": {"name": "third"}, "spec": spec})
    try:
        when(lambda: told("ConflictingNodeSelector"))
        commits, nodes = play.commits(), [n["spec"] for n in kube.list(path("v1", "nodes"))]
        ended = play.knowngood("upgrade", CLUSTER, "--to", aim(play)[0], "--yes")
        assert ended.code == 1, ended.stdout + ended.stderr
        assert "NVIDIADriver ring-1 and third" in ended.stdout + ended.stderr
        assert play.commits() == commits
        assert [n["spec"] for n in kube.list(path("v1", "nodes"))] == nodes
    finally:
        kube.delete(f"{where}/third")
    when(lambda: told("'state': 'ready'"))


def test_nobody_to_ask_is_a_usage_error(play: Play) -> None:
    ended = play.knowngood("upgrade", CLUSTER, "--to", "r595")
    assert ended.code == 2
    assert "--yes" in ended.stderr


@pytest.fixture
def protected(play: Play) -> Iterator[Path]:
    """The matrix came from a remote whose branch takes no push; taken away again afterwards."""
    bare = play.stage.folder / "matrix.git"
    git(play, "init", "--quiet", "--bare", "-b", "main", str(bare))
    git(play, "remote", "add", "origin", str(bare))
    git(play, "push", "--quiet", "-u", "origin", "main")
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'by pull request only' >&2\nexit 1\n")
    hook.chmod(0o755)
    yield hook
    git(play, "pull", "--quiet", "--ff-only")
    git(play, "remote", "remove", "origin")


def git(play: Play, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=play.stage.matrix, check=True, capture_output=True)


def test_ctrl_c_is_130_status_says_so_and_resume_ends_it(play: Play, protected: Path) -> None:
    """By a plan that was kept, with a pause after the canary ring that resume ends, too.

    And a proven run is done although its record is not taken: one command delivers it later.
    """
    release, driver = aim(play)
    kept, ring = str(play.stage.folder / "the.plan"), ring_of(play)
    asked = play.knowngood("plan", CLUSTER, "--to", release, "--out", kept)
    assert asked.code == 0, asked.stderr
    by_plan = ("upgrade", CLUSTER, "--plan", kept, "--pause-after", ring, "--yes")
    code, out, err = interrupted_at(play, "drain", *by_plan)
    assert code == 130, out + err
    assert "knowngood resume r2" in err
    assert "Traceback" not in err
    status = play.knowngood("status")
    assert "interrupted: " in status.stdout
    paused = play.knowngood("resume", newest(play))
    assert paused.code == 130, paused.stderr
    assert f"paused after hop-1/{ring}" in play.knowngood("status").stdout
    ended = play.knowngood("resume", newest(play), "--output", "json")
    assert ended.code == 0, ended.stderr
    assert (ended.result["end"], ended.result["status"]) == ("done", "rehearsed")
    assert ended.result["resumed"] == 2
    assert running_drivers(play) == {driver}
    stale = play.knowngood(*by_plan)
    assert stale.code == 1, stale.stderr
    assert f"nvidia-driver is {driver}, was" in stale.stderr
    run = newest(play)
    assert "by pull request only" in ended.result["record"]["undelivered"]
    assert f"knowngood record {run}" in play.knowngood("status", run).stdout
    assert play.knowngood("record", run).code == 2
    protected.unlink()
    delivered = play.knowngood("record", run, "--output", "json")
    assert delivered.code == 0, delivered.stderr
    assert delivered.result["status"] == "rehearsed"
    assert "not delivered" not in play.knowngood("status", run).stdout


def test_nothing_to_do_is_done(play: Play) -> None:
    ended = play.knowngood("upgrade", CLUSTER, "--to", pinned(play), "--yes")
    assert ended.code == 0
    assert "nothing to do" in ended.stdout


@pytest.mark.slow
def test_a_run_that_is_done_is_taken_back_by_a_new_run(play: Play) -> None:
    release, _ = aim(play)
    assert play.upgrade(release).code == 0
    before, old = aim(play)
    ended = play.knowngood("rollback", newest(play), "--yes", "--output", "json")
    assert ended.code == 0, ended.stderr
    assert (ended.result["from_release"], ended.result["to_release"]) == (release, before)
    assert running_drivers(play) == {old}


@pytest.fixture(scope="module")
def held(play: Play) -> tuple[str, list[str], Path, set[str]]:
    """A held run, the options of the laptop that holds it, and the cluster before it."""
    before, drivers = play.snapshot("before-hold"), running_drivers(play)
    return *held_elsewhere(play, aim(play)[0]), before, drivers


@pytest.mark.slow
def test_an_abort_asked_from_another_laptop_holds_the_run_that_it_takes_over(
    held: tuple[str, list[str], Path, set[str]], play: Play
) -> None:
    run, elsewhere, *_ = held
    assert play.knowngood("resume", run, *elsewhere).code == 5


@pytest.mark.slow
def test_a_held_run_is_taken_back_by_rollback(
    held: tuple[str, list[str], Path, set[str]], play: Play
) -> None:
    run, elsewhere, before, drivers = held
    back = play.knowngood("rollback", run, "--yes", "--output", "json", *elsewhere)
    assert back.result["end"] == "restored"
    assert back.code == 6, back.stderr
    assert running_drivers(play) == drivers
    assert play.differences(before) == ""


def held_elsewhere(play: Play, release: str) -> tuple[str, list[str]]:
    """Interrupt a run; another laptop (an empty runs folder) asks it to hold and takes it over.

    Returns the run and the other laptop's options.
    """
    code, _, err = interrupted_at(play, "soak", "upgrade", CLUSTER, "--to", release, "--yes")
    run = newest(play)
    elsewhere = ["--runs-dir", str(play.stage.folder / "elsewhere")]
    status = play.knowngood("status", run, *elsewhere)
    asked = play.knowngood("abort", run, "--hold", *elsewhere)
    held = play.knowngood("resume", run, "--output", "json", *elsewhere)
    page = play.knowngood("handover", run, *elsewhere)
    assert code == 130, err
    assert f"run {run}" in status.stdout
    assert asked.code == 0, asked.stderr
    assert (held.code, held.result["end"]) == (5, "held"), held.stderr
    assert "git revert --no-edit" in page.stdout
    return run, elsewhere

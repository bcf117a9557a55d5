"""The recipe of the probe's image: pinned, no newer than any driver of the matrix, and it works without a container."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapters.judging.ordering import order

from knowngood.adapters.judging.probe_manifest import manifest
from knowngood.matrix import locate
from knowngood.matrix.load import load
from knowngood.model.matrix import Severity
from knowngood.planner.rules.evaluation import asks_about, broken, evaluate

ROOT = Path(__file__).parents[3]
IMAGE = ROOT / "deploy" / "probe"
PINS = (IMAGE / "requirements.txt").read_text()
RECIPE = (IMAGE / "Containerfile").read_text()


def pinned(name: str) -> str:
    (version,) = re.findall(rf"^{name}==([^\s]+)", PINS, re.MULTILINE)
    return str(version)


def test_each_distribution_has_a_version_and_hashes() -> None:
    for line in re.sub(r"\\\n\s*", " ", PINS).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            assert re.match(r"^[a-z0-9._-]+==[^\s]+( +--hash=sha256:[0-9a-f]{64})+$", line.strip()), line


def test_what_is_built_is_named_by_commit() -> None:
    versions = (IMAGE / "versions.env").read_text()
    for tool in ("PERFTEST", "NCCL_TESTS"):
        assert re.search(rf"^{tool}_COMMIT=[0-9a-f]{{40}}$", versions, re.MULTILINE)


def test_the_images_below_are_the_builders_choice_and_never_a_tag_of_ours() -> None:
    froms = re.findall(r"^FROM (\S+)", RECIPE, re.MULTILINE)
    assert froms == ["${BUILD}", "${BASE}"]
    assert re.findall(r"^ARG (\S+)$", RECIPE, re.MULTILINE) == ["BUILD", "BASE"], "no default"


def test_what_the_recipe_copies_and_runs_is_there() -> None:
    for source in re.findall(r"^COPY (?!--from)(\S+) ", RECIPE, re.MULTILINE):
        assert (ROOT / source).exists(), source
    script = (IMAGE / "install.sh").read_text()
    for step in re.findall(r"install\.sh (\S+) /opt/probe", RECIPE):
        assert f"\n{step})" in script, step


def test_its_cuda_runs_on_the_driver_of_every_release() -> None:
    """A run must be judged after an undo, too: an image newer than the driver it comes back to would say nothing."""
    matrix = load(locate.matrix_dir())
    cuda = ".".join([*pinned("nvidia-cuda-runtime-cu12").split(".")[:2], "0"])
    rules = [r for r in matrix.rules.values() if "cuda" in asks_about(r)]
    assert rules
    for release in matrix.releases.values():
        found = evaluate(rules, matrix.components, {**release.components, "cuda": cuda})
        assert not broken(found, Severity.BLOCK), release.name
    newer = [
        evaluate(rules, matrix.components, {**r.components, "cuda": "13.0.0"})
        for r in matrix.releases.values()
    ]
    assert any(broken(found, Severity.BLOCK) for found in newer), "the rules tell a CUDA that is too new"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe's steps that need neither a registry nor a compiler, run into a folder."""
    where = tmp_path_factory.mktemp("image") / "opt"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where)], check=True, timeout=60)
    done = subprocess.run(
        [str(IMAGE / "install.sh"), "probe", str(where)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return where


def test_an_unknown_step_is_a_usage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(IMAGE / "install.sh"), "cuda", str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 2


def test_the_image_says_what_is_in_it(prefix: Path) -> None:
    command = [str(prefix / "bin" / "python"), "-I", "-m", "knowngood.probe", "inventory"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env={"PATH": "/nowhere"}
    )
    found = json.loads(done.stdout)["inventory"]
    assert found["python"].startswith("3.")
    absent = ("torch", "cuda", "nccl", "triton", "mpich", "perftest", "nccl-tests")
    assert {name: found[name] for name in absent} == dict.fromkeys(absent, ""), "only what is there"


# As the Job runs it: user 0, a root that can't be written, 64 MiB of /dev/shm, a temporary folder, no network.
INSIDE = """
set -e
mount --rbind / /
mount -o remount,bind,ro /
cd /
mount -t tmpfs -o size=64m tmpfs /dev/shm
mount -t tmpfs -o size=64m tmpfs "$1"
if touch "$2/written" 2>/dev/null; then echo "its own folder can be written" >&2; exit 9; fi
export TMPDIR="$1" HOME="$1" NODE_NAME=gpu-1
shift 2
exec "$@"
"""


def test_the_payloads_run_from_it_as_the_job_does(prefix: Path, tmp_path: Path) -> None:
    """Read-only root, 64 MiB of /dev/shm, no network, the Job's user."""
    unshare = shutil.which("unshare")
    flags = ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--mount-proc"]
    if (
        unshare is None
        or subprocess.run([unshare, *flags, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine lets nobody make namespaces: unshare failed")
    host, scratch = tmp_path / "host", tmp_path / "scratch"
    scratch.mkdir()
    _host(host)
    command = [
        *(
            str(prefix / "bin" / "python"),
            "-I",
            "-m",
            "knowngood.probe",
            "run",
            "rdma",
            "training",
            "inference",
        ),
        *("--root", str(host), "--params", '{"gpus": 1}', "--deadline", "60"),
    ]
    done = subprocess.run(
        [unshare, *flags, "bash", "-c", INSIDE, "inside", str(scratch), str(prefix), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    found: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)["results"]
    assert (done.returncode, sorted(found)) == (0, ["inference", "rdma", "training"]), done.stderr
    assert {name: one["ok"] for name, one in found.items()} == dict.fromkeys(found, True)


def _host(root: Path) -> None:
    port = "sys/class/infiniband/mlx5_0/ports/1"
    for path, text in {
        "proc/sys/kernel/random/boot_id": "7a8eb505-3c64-47f1-8765-21767d41e9a1",
        "proc/uptime": "10.0 1.0",
        "proc/driver/nvidia/gpus/0000:18:00.0/information": "Model: x",
        "sys/module/nvidia/version": "580.173.02",
        "usr/lib64/libcuda.so.580.173.02": "",
        f"{port}/state": "4: ACTIVE",
        f"{port}/phys_state": "5: LinkUp",
        f"{port}/rate": "400 Gb/sec (4X NDR)",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")


def test_the_job_starts_the_program_that_the_image_has() -> None:
    (container,) = manifest(order(), "gpu-1")["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["python", "-m", "knowngood.probe"]
    assert "/opt/probe/bin:" in RECIPE, "its python is first on the path"

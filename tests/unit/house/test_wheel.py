"""The wheel, built by way of the sdist, works outside the checkout: its data travels inside the package."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sdist first, then the wheel out of that sdist: what a package index would hand out."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


def make_venv(folder: Path, *options: str) -> Path:
    """Make an empty virtual environment and return its bin folder."""
    subprocess.run([sys.executable, "-m", "venv", *options, str(folder)], check=True, timeout=120)
    return folder / "bin"


@pytest.fixture(scope="module")
def borrowed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own that borrows our third parties: seconds, not minutes."""
    folder = tmp_path_factory.mktemp("borrowed")
    binaries = make_venv(folder, "--without-pip")
    python = str(binaries / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
    # A plain path line after the environment's own: our editable install, a .pth file there, is not followed.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an empty environment with nothing but its pinned requirements."""
    binaries = make_venv(tmp_path_factory.mktemp("installed"))
    pip = [str(binaries / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pins = ["--require-hashes", "--requirement", str(ROOT / "requirements" / "run.txt")]
    subprocess.run([*pip, "install", *pins], check=True, timeout=600)
    subprocess.run([*pip, "install", "--no-deps", str(wheel)], check=True, timeout=120)
    subprocess.run([*pip, "check"], check=True, timeout=120)
    return binaries


def run(binaries: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run one of the environment's commands from the root folder, with no hint of the checkout around it."""
    environment = {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    environment |= {key: os.environ[key] for key in ("HOME",) if key in os.environ}
    script = str(binaries / command[0])
    return subprocess.run(
        [str(binaries / "python"), script, *command[1:]]
        if command[0] != "python"
        else [script, *command[1:]],
        cwd="/",
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_works(binaries: Path, ansible_playbook: str) -> None:
    """The wheel's own code and data answer the commands that need them."""
    where = run(binaries, "python", "-c", "import knowngood.model as m; print(m.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(binaries.parent), where.stdout + where.stderr
    for arguments, said in (
        (["--help"], "Commands:"),
        (["validate", "--matrix", "shipped"], "files read"),
        (["gate", "--list", "--matrix", "shipped"], "drift"),
    ):
        done = run(binaries, "knowngood", *arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        assert said in done.stdout + done.stderr, arguments
    site = Path(where.stdout.strip()).parents[2]
    assert PLAYBOOKS
    for name in PLAYBOOKS:
        playbook = str(site / "knowngood" / "_data" / "playbooks" / name)
        done = run(binaries, "python", ansible_playbook, "--syntax-check", "-i", "localhost,", playbook)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_the_wheel_carries_the_data_and_nothing_of_the_checkout(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    carried = {"/".join(name.split("/")[:3]) for name in names if name.startswith("knowngood/_data/")}
    assert {"knowngood/_data/matrix", "knowngood/_data/gates", "knowngood/_data/playbooks"} <= carried
    assert "knowngood/py.typed" in names
    collection = "knowngood/_data/playbooks/collections/ansible_collections/knowngood/fleet/"
    assert {f"{collection}{part}" for part in ("galaxy.yml", "roles/drain/tasks/main.yml")} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "tools/", "demo/")) or ".pyc" in name]


@pytest.mark.timeout(300)
def test_the_wheel_works_outside_the_checkout(borrowed: Path) -> None:
    assert_works(borrowed, str(Path(sys.executable).with_name("ansible-playbook")))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_and_its_pins_work_in_an_empty_environment(installed: Path) -> None:
    assert_works(installed, str(installed / "ansible-playbook"))

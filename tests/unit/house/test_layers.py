"""Imports go down only; import-linter knows the picture in docs/architecture.md."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.trees import tree_of

ROOT = Path(__file__).parents[3]
LINT = Path(sys.executable).with_name("lint-imports")


def contracts() -> list[str]:
    """The names of the contracts in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["name"] for contract in project["tool"]["importlinter"]["contracts"]]


def lint_imports(package_parent: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts on the `knowngood` found in `package_parent`."""
    environment = {**os.environ, "PYTHONPATH": str(package_parent)}
    command = [str(LINT), "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    return subprocess.run(
        command, cwd=package_parent, env=environment, check=False, capture_output=True, text=True, timeout=120
    )


def test_the_contracts_hold() -> None:
    done = lint_imports(ROOT / "runner")
    assert done.returncode == 0, done.stdout + done.stderr


WRONG = {  # package: an import that its contract forbids
    "engine": "import knowngood.adapters, yaml",
    "planner": "import kubernetes",
    "planner/edges": "import knowngood.planner.rules",
    "adapters": "import rich",
    "cli": "import knowngood.cli.commands",
    "cli/commands": "import knowngood.cli.commands.demo",
    "adapters/kubernetes": "import knowngood.adapters.cluster",
    "probe": "import knowngood.model",
    "report": "import knowngood.twin",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "runner" / "knowngood", tmp_path / "knowngood", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def test_each_contract_is_broken_by_an_import_that_goes_the_wrong_way(copy: Path) -> None:
    """Else a contract could hold because it looks at nothing."""
    for package, statement in WRONG.items():
        path = copy / "knowngood" / package / "wrong.py"
        path.write_text(f"{statement}\n")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"Contracts: 0 kept, {len(contracts())} broken." in done.stdout


def test_a_new_package_must_take_its_place(copy: Path) -> None:
    (copy / "knowngood" / "elsewhere").mkdir()
    (copy / "knowngood" / "elsewhere" / "__init__.py").touch()
    done = lint_imports(copy)
    assert done.returncode == 1
    assert "elsewhere" in done.stdout


def test_every_package_says_what_lives_in_it() -> None:
    """The root stays empty, see test_probe_stands_alone."""
    package = ROOT / "runner" / "knowngood"
    folders = {path.parent for path in package.rglob("*.py")} - {package}
    assert folders
    silent = [f for f in folders if not (f / "__init__.py").is_file() or not charter(f / "__init__.py")]
    assert not silent


def charter(path: Path) -> str | None:
    """The docstring of a package."""
    return ast.get_docstring(tree_of(path.read_text()))


def test_each_room_of_the_adapters_says_which_ports_it_serves() -> None:
    """A port is served by who subclasses its Protocol."""
    adapters = ROOT / "runner" / "knowngood" / "adapters"
    served = {
        (path.parent.name, port)
        for path in adapters.glob("*/*.py")
        for port in subclassed(tree_of(path.read_text()))
    }
    assert {("judging", "gates"), ("kubernetes", "lock"), ("gitops", "delivery")} <= served
    silent = [
        (room, port)
        for room, port in sorted(served)
        if f"ports.{port}" not in str(charter(adapters / room / "__init__.py"))
    ]
    assert not silent


def subclassed(tree: ast.Module) -> set[str]:
    """The ports whose names are bases of a class here."""
    imported = {
        (alias.asname or alias.name): str(node.module).rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("knowngood.ports.")
        for alias in node.names
    }
    bases = {
        ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases
    }
    return {port for name, port in imported.items() if name in bases}

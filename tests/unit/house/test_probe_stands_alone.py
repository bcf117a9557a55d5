"""The probe runs inside foreign images: it may count on nothing but Python's standard library."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.trees import tree_of

ROOT = Path(__file__).parents[3]
PROBE = ROOT / "runner" / "knowngood" / "probe"
# Imported by the smoke payloads where it exists; without it they say `reference`.
OPTIONAL = {"torch"}

IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import knowngood.probe
names = [m.name for m in pkgutil.walk_packages(knowngood.probe.__path__, "knowngood.probe.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(json.dumps({"walked": names, "loaded": sorted(sys.modules)}))
"""


def imported_names(tree: ast.AST) -> set[str]:
    """The top-level names of everything that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(PROBE.rglob("*.py")), ids=lambda p: str(p.relative_to(PROBE)))
def test_a_probe_module_names_only_the_standard_library_and_the_probe(path: Path) -> None:
    names = imported_names(tree_of(path.read_text()))
    assert not names - sys.stdlib_module_names - {"knowngood"} - OPTIONAL


def test_the_whole_probe_can_be_imported_without_site_packages() -> None:
    """`-I -S`: no user site, no site-packages, no environment, no working directory."""
    command = [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(ROOT / "runner")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["walked"], "no module was found, so nothing was shown"
    foreign = {name for name in answer["loaded"] if name.split(".")[0] not in sys.stdlib_module_names}
    ours = {name for name in foreign if name == "knowngood" or name.startswith("knowngood.probe")}
    assert not foreign - ours - {"__main__"}


def test_the_package_itself_is_empty() -> None:
    """One import in `knowngood/__init__.py` and the probe no longer stands alone."""
    assert not tree_of((ROOT / "runner" / "knowngood" / "__init__.py").read_text()).body

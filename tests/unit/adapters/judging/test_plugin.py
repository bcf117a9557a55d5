"""The plugin is in every pytest run of its users: it must cost nothing and do nothing there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUNNER = Path(__file__).parents[4] / "runner"


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {"PYTHONPATH": str(RUNNER), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_it_imports_next_to_nothing(tmp_path: Path) -> None:
    program = (
        "import pytest, sys; before = set(sys.modules); import knowngood.gate.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = python("-c", program, cwd=tmp_path)
    assert set(done.stdout.split()) <= {
        "knowngood",
        "knowngood.gate",
        "knowngood.gate.plugin",
        "knowngood.gate.verdicts",
        "knowngood.model",
        "knowngood.model.parts",
    }, done.stderr


def test_without_its_option_a_users_own_tests_run_as_ever(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import pytest\n@pytest.fixture\ndef node(): return 1\ndef test_it(node): assert node == 1\n"
    )
    done = python("-m", "pytest", "-q", "-p", "knowngood.gate.plugin", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_half_of_its_options_is_a_usage_error(tmp_path: Path) -> None:
    done = python(
        "-m", "pytest", "-p", "knowngood.gate.plugin", "--knowngood-context", "x.json", cwd=tmp_path
    )
    assert done.returncode == 4
    assert "--knowngood-events" in done.stderr

"""The entry point: quick help, errors that say what to do, the right exit codes, never a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from tests.unit.cli.called import knowngood

from knowngood.cli import main
from knowngood.cli.main import COMMANDS, cli
from knowngood.cli.version import VERSION
from knowngood.model.errors import (
    DataError,
    ExitCode,
    Inconclusive,
    Interrupted,
    Location,
    LockHeld,
    Problem,
    Refused,
    UsageError,
)

HEAVY = ("kubernetes", "git", "jsonschema", "rich", "yaml", "ansible_runner", "aiohttp", "jinja2", "urllib3")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys; from knowngood.cli.main import run; code = run(sys.argv[1:]); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr.splitlines()[-1].startswith("[] ")


STARTS = (
    ("knowngood.probe.inference", ("knowngood.probe.smoke.serving", "http.client")),
    ("knowngood.adapters.movers.node_work", ("kubernetes", "knowngood.model.state", "knowngood.model.plan")),
    ("knowngood.gate.fixtures", ("kubernetes", "knowngood.model.state", "knowngood.model.plan")),
    ("knowngood.cli.commands.upgrade", ("kubernetes", "jsonschema", "jinja2")),
)
"""A process that a run starts again and again, or a person waits for -> what it does not need to begin."""


def test_what_starts_often_imports_no_more_than_it_needs() -> None:
    """In this order in one process: each imports more than the one before."""
    script = (
        "import importlib, sys\n"
        f"for name, without in {STARTS!r}:\n"
        "    importlib.import_module(name)\n"
        "    print([name, *(m for m in without if m in sys.modules)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [str([name]) for name, _ in STARTS]


def test_help_lists_every_command_and_exit_code() -> None:
    said = knowngood("--help")
    assert said.code == 0
    assert all(f"  {name} " in said.out for name in COMMANDS)
    assert all(f"  {int(code)} " in said.out for code in ExitCode)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_help_alone_is_enough_to_run_it(name: str) -> None:
    said = knowngood(name, "--help")
    assert said.code == 0
    assert "Examples:" in said.out
    assert "Exit codes:" in said.out
    assert f"knowngood {name}" in said.out
    assert not [line for line in said.out.splitlines() if len(line) > 130]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_is_called_as_it_is_listed(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(200) == COMMANDS[name]


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_an_unknown_command_is_a_usage_error_with_the_near_one() -> None:
    said = knowngood("upgarde")
    assert said.code == 2
    assert "Did you mean upgrade?" in said.err
    assert "Did you mean status" in knowngood("satus").err, "also where it begins otherwise"


@pytest.mark.parametrize("arguments", [["plan"], ["plan", "x"], ["upgrade", "--nope"], ["show", "nonsense"]])
def test_a_wrong_command_line_is_exit_2(arguments: list[str]) -> None:
    said = knowngood(*arguments)
    assert said.code == 2
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("a rule"), 1),
        (UsageError("the file"), 2),
        (Inconclusive("who knows"), 3),
        (LockHeld("r2 holds it"), 4),
        (Interrupted("INT"), 130),
        (ZeroDivisionError("a bug"), 3),
    ],
)
def test_every_error_has_its_exit_code_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fails(**_: object) -> None:
        raise error

    monkeypatch.setattr(main.cli, "main", fails)
    said = knowngood()
    assert said.code == code
    assert str(error) in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in knowngood_debug()


def knowngood_debug() -> str:
    return knowngood("--debug").err


def test_an_error_says_where_and_what_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise UsageError("no such file", where=Location("a.yaml", 3, 5), hint="make one")

    monkeypatch.setattr(main.cli, "main", fails)
    assert knowngood().err == "knowngood: a.yaml:3:5: no such file\n  next: make one\n"


def test_every_problem_of_a_broken_matrix_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = tuple(Problem(Location("a.yaml", n), f"wrong {n}", hint="mend it") for n in (1, 2))

    def fails(**_: object) -> None:
        raise DataError(problems)

    monkeypatch.setattr(main.cli, "main", fails)
    said = knowngood()
    assert said.code == 2
    assert said.err.count("a.yaml:") == 2
    assert said.err.count("next: mend it") == 2


def test_a_full_disk_is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a command meets it: what to do is to make room, not to report it."""

    def fails(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(main.cli, "main", fails)
    said = knowngood()
    assert said.code == 2
    assert "No space left on device" in said.err
    assert "internal error" not in said.err
    assert "make room" in said.err

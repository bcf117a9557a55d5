"""Every command that writes can be asked what it would write, and then writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.ops import Ops, ops_at

from knowngood.cli.asking import ask
from knowngood.cli.commands import abort, resume
from knowngood.cli.main import COMMANDS, cli
from knowngood.cli.options import Settings
from knowngood.model.errors import UsageError

WRITES = (
    *(
        "abort",
        "clear",
        "discover",
        "fleet upgrade",
        "init",
        "promote",
        "prune",
        "record",
        "rehearse-changed",
    ),
    *("resume", "revoke", "rollback", "supersede", "upgrade"),
)
"""What writes to a cluster, to the matrix or into a repository."""
ASKED_TO = {"refresh": "--write", "plan": "--out"}
"""What writes only where this option says so."""
OWN_FOLDER = ("demo", "gate", "rehearse", "twin")
"""What writes into a new folder of its own that it names, and to no cluster or repository that was there before."""
READS = (
    *(
        "check",
        "completion",
        "diff",
        "doctor",
        "edge",
        "exposure",
        "fleet",
        "handover",
        "path",
        "show",
        "status",
    ),
    *("support", "validate"),
)


def flags(name: str) -> set[str]:
    command: Any = cli
    for word in name.split():
        command = command.get_command(click.Context(command), word)
    return {flag for parameter in command.params for flag in parameter.opts}


def test_each_command_is_known_to_write_or_to_read() -> None:
    sorted_in = [*WRITES, *ASKED_TO, *OWN_FOLDER, *READS]
    assert sorted(name for name in sorted_in if " " not in name) == sorted(COMMANDS)


@pytest.mark.parametrize("name", WRITES)
def test_what_writes_has_a_dry_run(name: str) -> None:
    assert "--dry-run" in flags(name)


@pytest.mark.parametrize(("name", "option"), ASKED_TO.items())
def test_what_writes_where_it_is_asked_to_has_that_option(name: str, option: str) -> None:
    assert option in flags(name)


@pytest.mark.parametrize("dry_run", [False, True])
def test_whoever_would_ask_ends_there_well_also_with_yes(dry_run: bool) -> None:
    with click.Context(cli, obj=Settings(dry_run=dry_run)).scope():
        if not dry_run:
            ask("Go?", yes=True)
            return
        with pytest.raises(click.exceptions.Exit) as ended:
            ask("Go?", yes=True)
        assert ended.value.exit_code == 0


@pytest.fixture
def ops(tmp_path: Path) -> Ops:
    made = ops_at(tmp_path / "ops")
    (made.matrix / "releases" / "new.yaml").write_text(made.release("old").replace("580.173.02", "595.91.07"))
    made.commit()
    return made


@pytest.mark.parametrize(
    "words",
    [("revoke", "new", "--reason", "it is bad"), ("supersede", "old", "--by", "new")],
    ids=lambda w: w[0],
)
def test_a_status_stays_as_it_is(words: tuple[str, ...], ops: Ops) -> None:
    head = ops.git("rev-parse", "HEAD")
    said = knowngood(*words, "--matrix", ops.matrix, "--dry-run")
    assert (said.code, "dry run, so nothing was written: would" in said.err) == (0, True)
    assert (ops.git("rev-parse", "HEAD"), ops.git("status", "--porcelain")) == (head, "")


@pytest.mark.parametrize("command", [abort, resume], ids=lambda m: m.__name__.rpartition(".")[2])
def test_a_run_is_left_as_it_is(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(
        run_id="r1", state=SimpleNamespace(end=None, last="hop-1/ring-0/soak"), untold=False
    )

    @contextmanager
    def known(*_: object) -> Iterator[SimpleNamespace]:
        yield run  # without a cluster: whoever asked for it would fail

    monkeypatch.setattr(command, "known", known)
    monkeypatch.setattr(resume, "refuse_overtaken", lambda _run: None)
    said: Said = knowngood(command.command.name, "r1", "--dry-run")
    assert (said.code, "nothing was written: would" in said.err) == (0, True)


def test_without_a_dry_run_nobody_there_is_still_an_error() -> None:
    with click.Context(cli, obj=Settings()).scope(), pytest.raises(UsageError, match="nobody is there"):
        ask("Go?", yes=False)

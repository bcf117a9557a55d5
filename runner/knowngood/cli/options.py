"""Options that several commands share; given before or after the command's name, the later one counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Settings:
    """What the global options say; None means not given."""

    matrix: Path | None = None
    kubeconfig: Path | None = None
    runs_dir: Path | None = None
    debug: bool = False
    dry_run: bool = False

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        if self.runs_dir is not None:
            return self.runs_dir
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return Path(state) / "knowngood" / "runs"


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if value:
            ctx.obj = replace(ctx.obj, **{name: value})
        return value

    return callback


def _shared(flag: str, name: str, **kwargs: Any) -> Callable[[F], F]:
    return click.option(flag, f"_{name}", expose_value=False, callback=_keep(name), **kwargs)


SHIPPED = Path("shipped")
"""What `--matrix` says for the one that comes with the program."""


class MatrixPath(click.Path):
    """`--matrix`: `shipped` always means ours, `./shipped` a folder of that name, which a Path would not tell apart."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As its base; what was written with a folder stays one."""
        found = super().convert(value, param, ctx)
        return found.absolute() if found == SHIPPED and value not in (str(SHIPPED), SHIPPED) else found


MATRIX_PATH = MatrixPath(path_type=Path)


def matrix_option(function: F) -> F:
    """`--matrix DIR`."""
    text = "The matrix folder, or `shipped`.  [default: the nearest `matrix` from here upwards]"
    return _shared("--matrix", "matrix", metavar="DIR", type=MATRIX_PATH, help=text)(function)


def kubeconfig_option(function: F) -> F:
    """`--kubeconfig FILE`."""
    path = click.Path(path_type=Path)
    text = "How the cluster is reached.  [default: $KUBECONFIG]"
    return _shared("--kubeconfig", "kubeconfig", metavar="FILE", type=path, help=text)(function)


def history_option(function: F) -> F:
    """`--kubeconfig FILE`, where a cluster is asked only if it is named."""
    path = click.Path(path_type=Path)
    text = "Also ask the runs on this cluster about the release."
    return _shared("--kubeconfig", "kubeconfig", metavar="FILE", type=path, help=text)(function)


def runs_option(function: F) -> F:
    """`--runs-dir DIR`."""
    path = click.Path(path_type=Path)
    text = "Where runs are kept.  [default: $XDG_STATE_HOME/knowngood/runs]"
    return _shared("--runs-dir", "runs_dir", metavar="DIR", type=path, help=text)(function)


def debug_option(function: F) -> F:
    """`--debug`."""
    return _shared("--debug", "debug", is_flag=True, help="Show a traceback with an error.")(function)


def record_option(function: F) -> F:
    """`--record WHERE`: where a run's record goes."""
    text = "Write the record to another branch of the matrix's remote (for a pull request), or as a patch into the"
    more = " run's folder.  [default: the branch that the matrix came from]"
    return click.option("--record", default="", metavar="branch=NAME|file", help=text + more)(function)


def output_option(*formats: str) -> Callable[[F], F]:
    """`--output`, one of `formats`; the first is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="What stdout carries.",
    )


def yes_option(function: F) -> F:
    """`--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask; for CI.")(function)


def dry_run_option(function: F) -> F:
    """`--dry-run`: heeded by whatever asks for a yes, and by the commands that write without asking."""
    text = "Say what it would do, and write nothing."
    return _shared("--dry-run", "dry_run", is_flag=True, help=text)(function)


def run_options(function: F) -> F:
    """What every command about a run takes: its cluster, the matrix, the runs' folder, what stdout carries."""
    takes = output_option("text", "json")(debug_option(click.pass_obj(function)))
    return kubeconfig_option(matrix_option(runs_option(takes)))  # type: ignore[return-value]


def push_option(function: F) -> F:
    """`--push`."""
    return click.option("--push", is_flag=True, help="Push to the branch's upstream.")(function)

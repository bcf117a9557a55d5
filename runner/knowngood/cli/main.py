"""The entry point and the group of commands.

A command's module, and all that it needs, is imported only when that command is called: `knowngood --help`
must answer at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from knowngood.cli.options import MATRIX_PATH, Settings
from knowngood.cli.terminal import hear_libraries, say
from knowngood.cli.version import VERSION
from knowngood.model.errors import DataError, ExitCode, KnowngoodError, UsageError
from knowngood.model.text import page

COMMANDS = {
    "demo": "Play an upgrade and two undos on the embedded cluster, and check each.",
    "twin": "The embedded cluster: bring it up, inject faults, ask its oracle.",
    "validate": "Check the matrix: every problem with file and line.",
    "show": "Show the matrix, a part of it by name, or a run.",
    "check": "May these versions run together? Every rule that speaks, and the nearest that pass.",
    "support": "Which versions of the other components go with these.",
    "exposure": "Which running versions a risk, a rule or a revocation hits, and since when.",
    "promote": "Raise a release by evidence.",
    "revoke": "Take a release out of use, with the reason.",
    "supersede": "Let a release take the place of another.",
    "path": "Find one component's way from a version to a version.",
    "edge": "Say whether one update exists, and which risks it meets.",
    "refresh": "Read a component's edges from upstream's data again, as a difference to review.",
    "diff": "Say what lies between two releases, or what changed in the matrix.",
    "plan": "Say what an upgrade would do, and what it would take to undo it.",
    "discover": "Write a cluster file from what a cluster shows, and what runs as an observed release.",
    "doctor": "Everything that a run will need, line by line: pass, FAIL or could not ask, each with its fix.",
    "upgrade": "Move a cluster to a release, ring by ring, proven or undone.",
    "fleet": "Many clusters: a release reaches them stage by stage, each one proven before the next stage begins.",
    "status": "Where a run is, why it stopped, and what to type next.",
    "resume": "Go on with an interrupted or a held run.",
    "abort": "Ask a run to stop, wherever it runs.",
    "rollback": "Take a run back, or a cluster to the release that its file pins.",
    "clear": "Give back a node that no open run holds, and let go what an ended run still holds.",
    "prune": "Forget old runs that a cluster keeps.",
    "gate": "Run gates against a cluster; changes nothing.",
    "rehearse": "Play an upgrade of your cluster file on the embedded cluster.",
    "rehearse-changed": "Rehearse each release that a branch changed, on each cluster whose hardware it names.",
    "init": "Lay out a new operations repository.",
    "record": "Deliver a run's record to the matrix, where its end could not.",
    "handover": "One page to finish a run by hand.",
    "completion": "Print what a shell needs to complete commands, options and choices.",
}

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXIT_CODES = "\b\n" + page(["Exit codes:", *(f"  {int(code):<4} {code.meaning}" for code in ExitCode)])


class LazyGroup(click.Group):
    """Commands by name; a module is imported when its command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of an operator's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"knowngood.cli.commands.{cmd_name.replace('-', '_')}")
        hear_libraries()
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name gets the names that come near."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            import difflib  # noqa: PLC0415 (only for this: --help must answer at once)

            near = difflib.get_close_matches(name, COMMANDS, cutoff=0.75) or [
                c for c in COMMANDS if c.startswith(name[:2])
            ]
            hint = f" Did you mean {' or '.join(near)}?" if near else " See knowngood --help."
            raise click.UsageError(f"no such command: {name}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names by the table above, so that a shell need not wait for all of them to be imported."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 (as above)

        names = [CompletionItem(n, help=text) for n, text in COMMANDS.items() if n.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from the table above, so that --help imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Say which version this is, and which matrix it reads."""
    if not asked or ctx.resilient_parsing:
        return
    from knowngood.cli.matrix_named import named  # noqa: PLC0415 (only for this: --help must answer at once)

    say(page([f"knowngood {VERSION}", named(Settings(matrix=ctx.params.get("matrix")))]))
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_version,
    help="Show the version, and which matrix is read, with its commit.",
)
@click.option(
    "--matrix",
    metavar="DIR",
    is_eager=True,  # read before --version, which names it
    type=MATRIX_PATH,
    help="The matrix folder, or `shipped`.  [default: the nearest `matrix` from here upwards]",
)
@click.option(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The cluster.  [default: $KUBECONFIG]",
)
@click.option(
    "--runs-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where runs are kept.  [default: $XDG_STATE_HOME/knowngood/runs]",
)
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.pass_context
def cli(
    ctx: click.Context, matrix: Path | None, kubeconfig: Path | None, runs_dir: Path | None, debug: bool
) -> None:
    """Move a GPU cluster from one proven set of versions to the next, or bring it back.

    \b
    Start here:
      knowngood demo                                  no cluster needed
      knowngood plan ams-prod --to r595
      knowngood upgrade ams-prod --to r595 --kubeconfig ~/.kube/ams-prod
      knowngood status                                where is it, what next
    """
    ctx.obj = Settings(matrix=matrix, kubeconfig=kubeconfig, runs_dir=runs_dir, debug=debug)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; a user's mistake never shows a traceback."""
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(args: list[str]) -> int:
    """Run one command; its exit code."""
    try:
        result = cli.main(args=args, prog_name="knowngood", standalone_mode=False)
    except BrokenPipeError:  # the reader of our stdout went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except (click.exceptions.Exit, click.ClickException, click.Abort, KeyboardInterrupt) as stop:
        return _usage(stop)
    except Exception as error:  # noqa: BLE001 (the last resort: no traceback for an operator)
        if "--debug" in args:
            import traceback  # noqa: PLC0415 (only for this: --help must answer at once)

            say(page(traceback.format_exc().split("\n")), err=True)
        return tell(error)
    return result if isinstance(result, int) else int(ExitCode.DONE)


def _usage(stop: BaseException) -> int:
    """What click or the keyboard ended."""
    if isinstance(stop, click.exceptions.Exit):
        return stop.exit_code
    if isinstance(stop, click.ClickException):
        stop.show()
        return int(ExitCode.USAGE)
    say("stopped", err=True)
    return int(ExitCode.INTERRUPTED)


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What a disk says that is full, or may not be written: no bug of ours, wherever it comes up."""


def tell(error: Exception) -> int:
    """One error on stderr: what and where, then what to do next; its exit code."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        error = UsageError(
            f"a file can't be written: {error.strerror}", hint="make room, or name another folder"
        )
    if not isinstance(error, KnowngoodError):
        say(f"knowngood: internal error: {type(error).__name__}: {error}", err=True)
        say("  next: run it again with --debug and report what it shows", err=True)
        return int(ExitCode.INCONCLUSIVE)
    problems = error.problems if isinstance(error, DataError) else ()
    for problem in problems:
        say(f"{problem.where}: {problem.severity}: {problem.message}", err=True)
        if problem.hint:
            say(f"  next: {problem.hint}", err=True)
    if not problems:
        say(f"knowngood: {error}", err=True)
        if error.hint:
            say(f"  next: {error.hint}", err=True)
    return int(error.exit_code)

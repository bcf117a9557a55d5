"""`knowngood validate`: every problem in the matrix at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json, say_orders, say_sarif, width
from knowngood.cli.version import VERSION
from knowngood.matrix.load import Checked, check
from knowngood.matrix.locate import matrix_dir, matrix_of
from knowngood.matrix.reading import display
from knowngood.matrix.show import describe_problem, lint_rules
from knowngood.model.errors import ExitCode, Problem, UsageError
from knowngood.model.text import page
from knowngood.report.columns import columns
from knowngood.report.problems import github_annotations, problem_text, sarif


@click.command("validate")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--since", metavar="REV", help="Check also what changed since the branch left this Git revision."
)
@click.option("--list-rules", is_flag=True, help="List the numbered rules (text or json) and check nothing.")
@matrix_option
@output_option("text", "json", "github", "sarif")
@debug_option
@click.pass_obj
def command(settings: Settings, path: Path | None, since: str | None, list_rules: bool, output: str) -> int:
    """Check the matrix: every problem with file and line.

    PATH is a matrix folder (as --matrix), or one data file of a matrix: then only that file's problems are shown.
    Reads files only, never a cluster. With --since also what may not change is checked: nothing is deleted, no status
    goes back, nothing that was proven is edited. `github` prints workflow commands, so that problems stand on the
    changed lines of a pull request; `sarif` is SARIF 2.1.0. Warnings are shown and do not change the exit code.

    \b
    Examples:
      knowngood validate
      knowngood validate matrix/releases/r595.yaml
      knowngood validate --since origin/main --output github
      knowngood validate --list-rules

    \b
    Exit codes: 0 no error, 1 at least one error, 2 the folder, the revision or an option can't be used
    """
    if list_rules:
        return _list(output)
    root, only = _asked(settings, path)
    checked = _checked(root, since)
    problems = [p for p in checked.problems if not only or p.where.file == only]
    _show(problems, output)
    errors = sum(p.severity == "error" for p in problems)
    elsewhere = len(checked.problems) - len(problems)
    told = f"{errors} errors, {len(problems) - errors} warnings"
    told += f" here, {elsewhere} findings in other files" if only else ""
    say(f"{checked.files} files read, {told}", err=True)
    return int(ExitCode.REFUSED if errors else ExitCode.DONE)


def _asked(settings: Settings, path: Path | None) -> tuple[Path, str]:
    """The matrix's folder, and the one file whose problems are wanted ("" for all)."""
    if path is None:
        return matrix_folder(settings), ""
    if path.is_dir():
        return matrix_dir(path), ""
    root, place = matrix_of(path)
    return root, f"{display(root)}/{place}"


def _checked(root: Path, since: str | None) -> Checked:
    if since is None:
        return check(root)
    import tempfile  # noqa: PLC0415

    from knowngood.adapters.gitops.matrix_revisions import matrix_at, merge_base  # noqa: PLC0415 (Git takes 0.1 s to import)

    with tempfile.TemporaryDirectory() as folder:
        base, _ = matrix_at(root, merge_base(root, since), Path(folder))
        return check(root, base=base)


def _show(problems: Sequence[Problem], output: str) -> None:
    match output:
        case "json":
            say_json({"problems": [describe_problem(p) for p in problems]})
        case "sarif":
            say_sarif(sarif(problems, lint_rules(), VERSION))
        case "github":
            say_orders(github_annotations(problems))
        case _:
            say(page(problem_text(problems, width())))


def _list(output: str) -> int:
    if output not in ("text", "json"):
        raise UsageError(f"the rules can't be listed as {output}", hint="use --output text or json")
    rules = lint_rules()
    rows = [(r["number"], r["severity"], r["title"]) for r in rules]
    if output == "json":
        say_json({"rules": rules})
    else:
        say(page(columns(rows, "")))
    return int(ExitCode.DONE)

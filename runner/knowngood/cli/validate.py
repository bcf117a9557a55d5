"""`knowngood validate`: every problem in the matrix at once."""

from __future__ import annotations

import json

import click

from knowngood.cli.data import matrix_folder
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.matrix.load import check
from knowngood.matrix.show import describe_problem, github_annotations
from knowngood.model.errors import ExitCode


@click.command("validate")
@matrix_option
@output_option("text", "json", "github")
@debug_option
@click.pass_obj
def command(settings: Settings, output: str) -> int:
    """Check the matrix: every problem with file and line.

    Reads files only, never a cluster. `github` prints workflow commands, so that problems stand on the changed
    lines of a pull request. Warnings are shown and do not change the exit code.

    \b
    Examples:
      knowngood validate
      knowngood validate --matrix ops/matrix --output github

    \b
    Exit codes: 0 no error, 2 at least one error
    """
    checked = check(matrix_folder(settings))
    problems, errors = checked.problems, checked.errors
    match output:
        case "json":
            click.echo(json.dumps([describe_problem(p) for p in problems], indent=2))
        case "github":
            for line in github_annotations(problems):
                click.echo(line)
        case _:
            for problem in problems:
                hint = f" ({problem.hint})" if problem.hint else ""
                click.echo(f"{problem.where}: {problem.severity} {problem.rule}: {problem.message}{hint}")
    matrix, warned = checked.matrix, len(problems) - len(errors)
    kinds = (matrix.components, matrix.releases, matrix.rules, matrix.profiles, matrix.clusters)
    files = sum(len(kind) for kind in kinds)
    click.echo(f"{files} files good, {len(errors)} errors, {warned} warnings", err=True)
    return int(ExitCode.USAGE if errors else ExitCode.DONE)

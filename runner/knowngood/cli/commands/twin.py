"""`knowngood twin`: hands over to the twin's own process; this program never imports it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("twin", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """The embedded cluster: bring it up, inject faults, ask its oracle.

    This process becomes the twin's; INT or TERM ends it. `knowngood rehearse` and `knowngood demo` start one by
    themselves and leave its seed.json behind, from which it can be brought up again.

    \b
    Examples:
      knowngood twin up --seed seed.json --state twin --write-kubeconfig kubeconfig --time-scale 60
      knowngood twin fault add xid-79 --node gpu-1 --kubeconfig kubeconfig
      knowngood twin fault list --kubeconfig kubeconfig
      knowngood twin oracle history --state twin
      knowngood twin up --help

    \b
    Exit codes: 0 done, 1 it failed or the oracle found a difference, 2 usage
    """
    parent = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": parent}
    words = [sys.executable, "-m", "knowngood.twin", *(arguments or ("--help",))]
    os.execve(sys.executable, words, environment)  # noqa: S606 (no shell on purpose)

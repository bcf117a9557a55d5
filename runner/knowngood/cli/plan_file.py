"""Plans in files: `plan --out` writes one, `upgrade --plan` goes by it as long as all that it rests on is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from knowngood.adapters.clock import SystemClock
from knowngood.cli.matrix_source import Source
from knowngood.cli.terminal import say
from knowngood.cli.version import VERSION
from knowngood.cli.wiring import reader
from knowngood.matrix.contents import contents
from knowngood.matrix.reading import read_text
from knowngood.model.errors import Inconclusive, Refused, UsageError
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.plan import Plan
from knowngood.model.plan_file import Basis, PlanFile
from knowngood.model.text import as_json
from knowngood.planner.plan.basis import changes, unread
from knowngood.planner.plan.case import Wishes
from knowngood.report import published

SCHEMA = 1
"""Of such a file; another number is another meaning."""

ANEW = "make it anew: knowngood plan CLUSTER --to RELEASE --out FILE"
"""What helps where a file is no plan."""

PLAN_FILE = "plan_file"
"""Under which name record 0 keeps the digest of the plan that a run went by."""


def wishes(kept: PlanFile | None) -> Wishes | None:
    """What was wished for when a plan was made, so that it can be made again."""
    if kept is None:
        return None
    return Wishes(channel=kept.plan.channel or Wishes().channel, accepted=frozenset(kept.plan.accepted))


def write(file: Path, source: Source, plan: Plan, kubeconfig: Path | None) -> None:
    """Keep a plan; with a kubeconfig also what the cluster runs. UsageError where the file can't be written."""
    if file.exists():
        _refuse_other(file)
    kept = PlanFile(SCHEMA, VERSION, SystemClock().now(), plan, basis(source, plan, kubeconfig))
    try:
        file.write_text(as_json(to_json(kept)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(file)) from error
    seen = (
        "what its nodes run" if kept.rests_on.asked else "not what its nodes run: no --kubeconfig was given"
    )
    say(f"{file} holds the plan, what the matrix says, and {seen}", err=True)
    if silent := sorted(node for node, versions in kept.rests_on.nodes.items() if not versions):
        say(f"  not of {', '.join(silent)}: could not be read, so nothing of it is compared", err=True)
    say(f"  next: knowngood upgrade {plan.cluster} --plan {file}", err=True)


def _refuse_other(file: Path) -> None:
    """UsageError where what would be written over is something else than an older plan."""
    try:
        read(file)
    except UsageError as error:
        hint = "name another file; a plan is written over a plan only"
        raise UsageError(
            "is there already, and no plan of this schema", where=str(file), hint=hint
        ) from error


def basis(source: Source, plan: Plan, kubeconfig: Path | None) -> Basis:
    """What a plan rests on now. Unreachable where the cluster does not answer."""
    files = contents(source.folder, plan.cluster)
    if kubeconfig is None:
        return Basis(files)
    cluster = source.cluster(plan.cluster)
    there = reader(kubeconfig, cluster)
    seen = there.observe(tuple(sorted(cluster.gpu)), plan.movers)
    nodes = {name: dict(state.versions) if state.reachable else {} for name, state in seen.items()}
    return Basis(files, asked=True, identity=there.identity(), nodes=nodes)


def read(file: Path) -> PlanFile:
    """A kept plan. UsageError, with the place, where the file is none."""
    if not file.is_file():
        raise UsageError("there is no such plan file", where=str(file), hint=ANEW)
    try:
        value = json.loads(read_text(file))
        _refuse_edited(file, value)
        found = from_json(PlanFile, value)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"line {error.lineno}: not valid JSON: {error.msg}", where=str(file), hint=ANEW
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise UsageError("is no plan that knowngood wrote", where=str(file), hint=ANEW) from None
    return found


def _refuse_edited(file: Path, value: Any) -> None:
    """UsageError, with the place, where the values are not what the published schema says."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 (0.1 s, needed only where a plan is read)
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    number = value.get("schema", SCHEMA) if isinstance(value, dict) else SCHEMA
    if number != SCHEMA:
        raise UsageError(f"has schema {number}, this knowngood reads {SCHEMA}", where=str(file), hint=ANEW)
    if found := best_match(Draft202012Validator(published.schema("plan-file")).iter_errors(value)):
        raise UsageError(
            f"is no plan that knowngood wrote: {found.json_path}: {found.message[:200]}",
            where=str(file),
            hint=ANEW,
        )


def refuse_changed(file: Path, kept: PlanFile, plan: Plan, now: Basis) -> None:
    """Refused where it rests on what is no longer so, with all of that; Inconclusive where that can't be told."""
    hint = (
        f"read the plan as it is now: knowngood plan {plan.cluster} --to {plan.to_release} --out {file}; "
        "nothing was changed"
    )
    if different := tuple(changes(kept, plan, now, VERSION)):
        raise Refused(
            f"changed since the plan was made ({kept.made}): {'; '.join(different)}",
            where=str(file),
            hint=hint,
        )
    if silent := unread(kept, now):
        raise Inconclusive(
            f"{', '.join(silent)} told what they run when the plan was made, and can't be read now",
            where=str(file),
            hint="mend what keeps them from answering; nothing was changed",
        )

"""`twin oracle snapshot|compare|history`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from knowngood.twin import events, oracle_judge
from knowngood.twin.values import Object


def add_parser(commands: Any) -> None:
    """Add `oracle` to the command line."""
    oracle = commands.add_parser("oracle", help="compare two states; say which node ran what, when")
    actions = oracle.add_subparsers(required=True, metavar="ACTION")
    take = actions.add_parser("snapshot", help="write down what the cluster is now")
    take.add_argument("--kubeconfig", type=Path, default=Path(os.environ.get("KUBECONFIG") or "kubeconfig"))
    take.add_argument("--state", type=Path, required=True, help="the twin's folder")
    take.add_argument("--out", type=Path, required=True)
    take.set_defaults(run=_snapshot)
    compare = actions.add_parser("compare", help="exit 0 where equal, 1 where not")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.add_argument(
        "--also", action="append", default=[], choices=oracle_judge.OPTIONAL, help="compare these too"
    )
    compare.add_argument("--json", action="store_true")
    compare.set_defaults(run=_compare)
    past = actions.add_parser("history", help="what each node lived through")
    past.add_argument("--state", type=Path, required=True, help="the twin's folder")
    past.add_argument("--json", action="store_true")
    past.set_defaults(run=_history)


def _snapshot(arguments: argparse.Namespace) -> int:
    # Imported here: compare and history need no HTTP client.
    from knowngood.twin.client import Client  # noqa: PLC0415
    from knowngood.twin.oracle import snapshot  # noqa: PLC0415

    async def take() -> Object:
        async with Client.from_kubeconfig(arguments.kubeconfig, "twin-oracle") as client:
            return await snapshot(client, arguments.state)

    try:
        found = asyncio.run(take())
    except Exception as error:
        sys.stderr.write(f"no snapshot: {error}\n")
        return 2
    partial = arguments.out.with_name(f".{arguments.out.name}.new")
    partial.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(arguments.out)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    try:
        before = json.loads(arguments.before.read_text(encoding="utf-8"))
        after = json.loads(arguments.after.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"can't compare: {error}\n")
        return 2
    found = oracle_judge.differences(before, after, arguments.also)
    if arguments.json:
        sys.stdout.write(json.dumps({"equal": not found, "differences": found}) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in found) or "equal\n")
    return 1 if found else 0


def _history(arguments: argparse.Namespace) -> int:
    try:
        found = oracle_judge.history(events.read(arguments.state / "events.jsonl"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"no history: {error}\n")
        return 2
    if arguments.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for name, row in found["nodes"].items():
        versions = ", ".join(f"{d['version']} from {d['from']}" for d in row["drivers"]) or "no driver"
        out = sum(1 for _ in row["out"])
        counts = (
            f"{row['loads']} loads, {len(row['restarts'])} restarts, {row['drains']} drains, out {out} times"
        )
        sys.stdout.write(f"{name}: {versions}; {counts}\n")
    for tenant, count in sorted(found["evictions"].items()):
        sys.stdout.write(f"evicted of {tenant}: {count} pods\n")
    return 0

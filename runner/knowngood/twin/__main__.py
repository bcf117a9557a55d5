"""The twin's own command line: up, fault, oracle."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from knowngood.twin import fault_cli, oracle_cli
from knowngood.twin.seed import SeedError, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 the states differ or it failed, 2 usage."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("twin").setLevel(
        logging.DEBUG if getattr(arguments, "verbose", False) else logging.INFO
    )
    result: int = arguments.run(arguments)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="knowngood twin", description="An embedded GPU cluster.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="serve a cluster in the foreground until interrupted")
    up.add_argument("--seed", type=Path, required=True, help="seed.json, as `knowngood rehearse` writes it")
    up.add_argument("--state", type=Path, required=True, help="folder for node roots, events and logs")
    up.add_argument(
        "--write-kubeconfig",
        type=Path,
        required=True,
        metavar="FILE",
        help="appears when the cluster has settled",
    )
    up.add_argument("--time-scale", type=float, default=1.0, help="divide the cluster's durations by this")
    up.add_argument("--port", type=int, default=0, help="loopback port of the API; 0 takes a free one")
    up.add_argument(
        "--on",
        type=Path,
        metavar="KUBECONFIG",
        help="run the behaviours on that API server, but for those whose kinds have somebody there already",
    )
    up.add_argument(
        "--kubelet-address",
        default="",
        metavar="ADDRESS",
        help="with --on: where its API server reaches this machine for exec, logs and journals; without it nowhere",
    )
    up.add_argument(
        "--without",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="leave controllers out, so that real ones can take their place; the kubeconfig then appears at once",
    )
    up.add_argument(
        "--audit-objects", action="store_true", help="keep in audit.jsonl what each write sent and made"
    )
    up.add_argument("--verbose", action="store_true", help="say more on stderr")
    up.set_defaults(run=_up)
    fault_cli.add_parser(commands)
    oracle_cli.add_parser(commands)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    # Imported here: faults and the oracle need none of it.
    from knowngood.twin.behaviours.registry import NAMES  # noqa: PLC0415
    from knowngood.twin.up import Options, TwinError, serve  # noqa: PLC0415

    if not 0 < arguments.time_scale <= 10_000:
        sys.stderr.write("--time-scale must be above 0 and at most 10000\n")
        return 2
    if unknown := sorted(set(arguments.without) - set(NAMES)):
        sys.stderr.write(f"--without knows no {', '.join(unknown)}; it knows {', '.join(NAMES)}\n")
        return 2
    try:
        seed = load(arguments.seed)
    except SeedError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    options = Options(
        seed=seed,
        state=arguments.state.resolve(),
        kubeconfig=arguments.write_kubeconfig.resolve(),
        time_scale=arguments.time_scale,
        port=arguments.port,
        on=arguments.on,
        without=tuple(arguments.without),
        kubelet_address=arguments.kubelet_address,
        audit_objects=arguments.audit_objects,
    )
    try:
        asyncio.run(serve(options))
    except (TwinError, OSError) as error:
        sys.stderr.write(f"the twin did not start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())

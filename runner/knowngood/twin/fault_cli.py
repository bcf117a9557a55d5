"""`twin fault add|list|clear`: faults are ConfigMaps, so any API server will do."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from knowngood.twin import faults
from knowngood.twin.client import Client, ClientError
from knowngood.twin.faults import Fault, FaultError

CONFIG_MAP = ("v1", "ConfigMap")


def add_parser(commands: Any) -> None:
    """Add `fault` to the command line."""
    fault = commands.add_parser("fault", help="inject, list and end faults")
    actions = fault.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="inject one", description=f"Faults: {', '.join(faults.KINDS)}")
    add.add_argument("name")
    add.add_argument("--node", default="", help="which node; cluster-wide faults need none")
    add.add_argument("--param", action="append", default=[], metavar="KEY=VALUE")
    add.set_defaults(run=_run, action=_add)
    listing = actions.add_parser("list", help="show the active ones")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_run, action=_list)
    clear = actions.add_parser("clear", help="end all, or those of a name or node")
    clear.add_argument("name", nargs="?", default="")
    clear.add_argument("--node", default="")
    clear.set_defaults(run=_run, action=_clear)
    for parser in (add, listing, clear):
        parser.add_argument(
            "--kubeconfig", type=Path, default=Path(os.environ.get("KUBECONFIG") or "kubeconfig")
        )


def parameters(words: list[str]) -> Mapping[str, str]:
    """KEY=VALUE words as a mapping; FaultError for any other."""
    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise FaultError(f"--param {word}: KEY=VALUE is expected")
        found[key] = value
    return found


def _run(arguments: argparse.Namespace) -> int:
    try:
        return asyncio.run(_with_client(arguments, arguments.action))
    except FaultError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (ClientError, aiohttp.ClientError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{arguments.kubeconfig}: {error}\n")
        return 1


async def _with_client(
    arguments: argparse.Namespace, action: Callable[[argparse.Namespace, Client], Awaitable[int]]
) -> int:
    async with Client.from_kubeconfig(arguments.kubeconfig, "twin-fault") as client:
        return await action(arguments, client)


async def _add(arguments: argparse.Namespace, client: Client) -> int:
    fault = faults.make(arguments.name, arguments.node, parameters(arguments.param))
    await _check_part(client, faults.KINDS[fault.name].part)
    if fault.node:
        try:
            await client.get(("v1", "Node"), fault.node)
        except ClientError as error:
            if error.code == 404:
                raise FaultError(f"there is no node {fault.node}") from error
            raise
    try:
        await client.create(faults.to_config_map(fault))
    except ClientError as error:
        if error.code == 409:
            raise FaultError(f"{fault.name} is active on {fault.node or 'the cluster'} already") from error
        raise
    return 0


async def _check_part(client: Client, part: str) -> None:
    """A fault of a part that this cluster lacks would never hit."""
    if not part:
        return
    try:
        if part in faults.BESIDE:
            await client.get(("v1", "ConfigMap"), part, faults.NAMESPACE)
        else:
            await client.resolve(faults.PARTS[part])
    except ClientError as error:
        if error.code == 404:
            raise FaultError(f"this cluster does not play it: name `{part}` in its seed") from error
        raise


async def _active(client: Client) -> list[tuple[str, Fault]]:
    listing = await client.list(CONFIG_MAP, faults.NAMESPACE, labels=faults.LABEL)
    found = [(obj["metadata"]["name"], faults.from_config_map(obj)) for obj in listing.items]
    return [(name, fault) for name, fault in found if fault is not None]


async def _list(arguments: argparse.Namespace, client: Client) -> int:
    active = [fault for _, fault in await _active(client)]
    if arguments.json:
        rows = [{"fault": f.name, "node": f.node, "params": dict(f.params)} for f in active]
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    for fault in active:
        words = " ".join(f"{key}={value}" for key, value in sorted(fault.params.items()))
        sys.stdout.write(f"{fault.name:<22} {fault.node or '-':<12} {words}".rstrip() + "\n")
    return 0


async def _clear(arguments: argparse.Namespace, client: Client) -> int:
    for name, fault in await _active(client):
        if arguments.name in {"", fault.name} and arguments.node in {"", fault.node}:
            await client.delete(CONFIG_MAP, name, faults.NAMESPACE)
    return 0

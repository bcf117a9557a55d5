"""How pods that are processes of this machine find each other: the cluster's DNS, and addresses that can be bound.

A pod with a host name and a subdomain has a name where a headless Service of that subdomain selects it. Such a name
stands in a process's arguments; here the kubelet puts the address in its place, one of 127.0.0.0/8, made of the
Service's uid, so that no two twins of a machine share any. What has no Service stays a name that nobody resolves.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import SERVICE, labels_of, matches, namespace_of, node_of, uid_of
from knowngood.twin.values import Object

NAME = re.compile(r"\b([a-z0-9][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)\.svc\b")
APPEARS_S = 5.0
"""Real seconds in which a Service may appear that is made after its first pod: a real pod asks DNS again and again."""
TOOLS = "stand-ins"
"""In the state folder: the tools whose hardware is not here, by their own names."""


async def place(twin: Twin, pod: Object) -> Mapping[str, str]:
    """What a process that meets others gets in its environment beside its own: nothing, where it has no subdomain."""
    spec = pod["spec"]
    if not spec.get("subdomain") or not spec.get("hostname"):
        return {}
    await twin.cache.ensure(SERVICE)
    try:
        async with asyncio.timeout(APPEARS_S):
            while (address := _address(twin, pod)) is None:
                await asyncio.sleep(0.05)
    except TimeoutError:
        return {}
    tools = str(twin.pods_dir.parent / TOOLS)
    return {
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", os.defpath)]),
        "TWIN_ADDRESS": address,
        "TWIN_HOST": str(twin.world.machines[node_of(pod)].root),
    }


def _address(twin: Twin, pod: Object) -> str | None:
    service = twin.cache.get(SERVICE, pod["spec"]["subdomain"], namespace_of(pod))
    if service is None or not matches({"matchLabels": service["spec"]["selector"]}, labels_of(pod)):
        return None
    return address_of(uid_of(service), pod["spec"]["hostname"])


def resolved(twin: Twin, argv: Sequence[str]) -> list[str]:
    """The arguments, with each name that a Service gives in place of it."""

    def look(match: re.Match[str]) -> str:
        service = twin.cache.get(SERVICE, match[2], match[3])
        headless = service is not None and service["spec"].get("clusterIP") == "None"
        return address_of(uid_of(service), match[1]) if service is not None and headless else match[0]

    return [NAME.sub(look, word) for word in argv]


def address_of(service: str, host: str) -> str:
    """A loopback address, the same each time; never 127.0.0.1."""
    first, second, third = sha256(f"{service}/{host}".encode()).digest()[:3]
    return f"127.{first % 254 + 1}.{second}.{third % 254 + 1}"

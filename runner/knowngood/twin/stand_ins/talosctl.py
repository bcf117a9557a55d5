"""talosctl, as much of it as is asked of a twin's machines: siderolabs/talos cmd/talosctl's words, not its protocol.

A program of its own: it is run without a site and imports the standard library only. Who may ask, and where, is in the
file that TALOSCONFIG names.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
from collections.abc import Sequence
from http.client import HTTPSConnection
from urllib.parse import urlencode

TAG = "v1.13.9"
HELP = """Upgrade Talos on the target node

Flags:
      --drain           drain the Kubernetes node before rebooting (cordon + evict pods) (default true)
  -i, --image string    the container image to use for performing the install
      --reboot-mode     select the reboot mode during upgrade
      --wait            wait for the operation to complete (default true)
"""


class Refused(Exception):
    """It ends with 1; the message says why."""


def main(argv: Sequence[str]) -> int:
    """One command; `argv` as the tool's, without its name."""
    flags = parsed(argv[1:])
    try:
        {"upgrade": upgrade, "version": version, "read": read}[argv[0]](flags)
    except (Refused, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def parsed(words: Sequence[str]) -> dict[str, str]:
    """--name=value, --name value, --name."""
    found, at = {}, 0
    while at < len(words):
        name, sign, value = words[at].removeprefix("--").partition("=")
        at += 1
        if not sign and at < len(words) and not words[at].startswith("--"):
            value, at = words[at], at + 1
        found[name] = value
    return found


def version(flags: dict[str, str]) -> None:
    """What it is, and what the machine is."""
    print(f"Client:\n\tTag:         {TAG}")
    if "client" in flags:
        return
    print("Server:", flush=True)
    told = asked("GET", "/version", flags["nodes"])
    print(f"\tNODE:        {flags['nodes']}\n\tTag:         v{told.strip()}\n\tEnabled:     RBAC")


def read(flags: dict[str, str]) -> None:
    """The file that tells which boot it is: no other is asked for."""
    print(asked("GET", "/boot", flags["nodes"]))


def upgrade(flags: dict[str, str]) -> None:
    """Have the machine take an image; it boots afterwards."""
    if "help" in flags:
        sys.stdout.write(HELP)
        return
    node = flags["nodes"]
    body = {key: flags.get(key, "") for key in ("image", "drain", "wait", "reboot-mode")}
    said = asked("POST", "/upgrade", node, json.dumps(body)).strip()
    if "exit code" in said:
        raise Refused(f"error during upgrade: node {node}: {said}")
    print(f"{node}: {said}")


def asked(method: str, path: str, node: str, body: str | None = None) -> str:
    """One answer. Refused where it is no yes."""
    with open(os.environ["TALOSCONFIG"], encoding="utf-8") as file:
        config = json.load(file)
    context = config["contexts"][config["context"]]
    trusted = ssl.create_default_context(cadata=base64.b64decode(context["ca"]).decode())
    line = HTTPSConnection(context["endpoints"][0], context=trusted)
    headers = {"Authorization": f"Bearer {base64.b64decode(context['key']).decode()}"}
    line.request(method, f"{path}?{urlencode({'node': node})}", body, headers)
    answer = line.getresponse()
    said = answer.read().decode()
    if answer.status >= 400:
        raise Refused(said)
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

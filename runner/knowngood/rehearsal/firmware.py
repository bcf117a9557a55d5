"""BMCs of a rehearsal: where a cluster file declares firmware, the twin's take the place of the real ones.

An image there is some words of JSON that say what it is (knowngood/twin/bmc.py); its digest is as true as a real one's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from knowngood.model.mover import Firmware
from knowngood.model.values import Object
from knowngood.rehearsal.at_rest import AtRest

LOOPBACK = "127.0.0.1"
DIALECT = "dell"
PARTS = {Firmware.SYSTEM: "bios", Firmware.MANAGER: "bmc"}
"""What the twin calls whose firmware it is."""
UNNAMED = {"bios": "2.6.3", "bmc": "7.20.30.50"}
"""What its machines run where the pinned release does not say."""


def seeded(rest: AtRest, port: int) -> Object:
    """The seed's part; empty where nothing declares firmware. `port`: where the BMCs listen."""
    images = {_file(part, version): _text(part, version) for _, part, version in _versions(rest)}
    if not images:
        return {}
    runs = {part: rest.release.components.get(name, UNNAMED[part]) for name, part in _declared(rest)}
    own = {**UNNAMED, **runs}
    return {"dialect": DIALECT, "version": own["bmc"], "bios": own["bios"], "port": port, "images": images}


def named(rest: AtRest, state: Path, port: int) -> Object:
    """The cluster file's `bmcs`; empty as the seed's part. `state`: the twin's folder, where it says who may ask."""
    images: dict[str, dict[str, Object]] = {}
    at = f"https://{LOOPBACK}:{port}"
    for component, part, version in _versions(rest):
        digest = hashlib.sha256(_text(part, version).encode()).hexdigest()
        image = {"url": f"{at}/images/{_file(part, version)}", "sha256": digest}
        images.setdefault(component, {})[version] = image
    if not images:
        return {}
    folder = state / "bmcs"
    return {
        "at": f"{at}/{{node}}",
        "credentials": f"file:{folder / 'user'}",
        "ca": str(folder / "ca.pem"),
        "images": images,
    }


def _declared(rest: AtRest) -> Iterator[tuple[str, str]]:
    """Component and part of what is declared and comes by a BMC."""
    for name in (d.component for d in rest.cluster.declarations if d.component in rest.movers):
        if firmware := rest.movers[name].firmware:
            yield name, PARTS[firmware]


def _versions(rest: AtRest) -> Iterator[tuple[str, str, str]]:
    """Component, part and version of all that any release names."""
    for name, part in _declared(rest):
        for version in sorted(rest.named.get(name, ())):
            yield name, part, version


def _file(part: str, version: str) -> str:
    return f"{part}-{version}.bin"


def _text(part: str, version: str) -> str:
    return json.dumps({"part": part, "version": version})

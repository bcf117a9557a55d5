"""The cluster-version operator's recording: two operators, played by the edits; no payload is signed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.integration.replay.cluster import Replay
from tests.integration.replay.normal import Fields, Names, conditions
from tests.integration.replay.playing import Stage
from tests.integration.replay.recording import Line

from knowngood.twin import objects, release_objects, seed
from knowngood.twin.behaviours.cvo import NAME, ClusterVersionOperator
from knowngood.twin.behaviours.cvo_payloads import CLUSTER_OPERATOR, CLUSTER_VERSION, UPDATING
from knowngood.twin.behaviours.kube import condition
from knowngood.twin.seed import PayloadSeed, Seed
from knowngood.twin.values import Object

SPACE = "nvidia-gpu-operator"
FIRST = "4.18.52"
OPERATORS = ("kube-apiserver", "machine-config")
IMAGES = {
    FIRST: "03cc1521dee536a1d119fddbf742f15712724da8825bc8ad6bed993ab755c6fd",
    "4.18.40": "4f5e851764beb79520c6f4e01914d1d6eac7dbef534d0d7664c8484a2508f3ef",
    "4.18.60": "319ac21818e84506d9f829961cd1e5ea537b067bd8b88947d2824884a9210df8",
    "4.19.20": "cb70f7315c7d577d178c120011080015eb771fe304045047437a9ec1a6639efd",
}
LONGEST = 200
"""What the recording kept of a condition's message, in characters."""
LEFT_OUT = {"status.desired.url", "status.observedGeneration", "status.versionHash"}


def image(version: str) -> str:
    return f"quay.example.com/ocp/release@sha256:{IMAGES[version]}"


def plan() -> Seed:
    """No node: the recording had none."""
    payloads = [{"version": version, "image": image(version), "signed": False} for version in sorted(IMAGES)]
    document = {
        "schema": 1,
        "cluster": "replay",
        "openshift": FIRST,
        "gpuOperator": {"version": "26.7.0", "namespace": SPACE},
        "clusterVersion": {"payloads": payloads, "operators": OPERATORS},
    }
    return seed.parse(document)


def _there() -> Iterator[Object]:
    for space in (SPACE, *release_objects.spaces(plan())):
        yield objects.namespace(space)
    for obj in release_objects.objects(plan()):
        if obj["kind"] == "ClusterOperator":
            obj["status"] = {}
        elif obj["kind"] == "ClusterVersion":
            status = obj["status"]
            status["history"][0] |= {"state": "Partial", "completionTime": None, "verified": False}
            away = "ClusterOperatorsNotAvailable"
            unable = f"Unable to apply {FIRST}: some cluster operators are not available"
            status["conditions"] = [
                condition("Available", "False"),
                condition(
                    "Failing", "True", away, f"Cluster operators {', '.join(OPERATORS)} are not available"
                ),
                condition("Progressing", "True", away, unable),
                condition(
                    "ReleaseAccepted", "True", "PayloadLoaded", release_objects.loaded(FIRST, image(FIRST))
                ),
                condition("RetrievedUpdates", "False"),
                condition("Upgradeable", "False", "ClusterVersionUpdating", UPDATING),
                condition("ImplicitlyEnabledCapabilities", "False"),
            ]
            del obj["spec"]["channel"]
        yield obj


class _Operator(ClusterVersionOperator):
    """The operator as it was recorded: its own Deployment was not played, so its image stays the first one."""

    def _deployed(self, target: PayloadSeed) -> None:
        pass


def stage() -> Stage:
    """The recording's cluster."""
    return Stage(
        plan=plan(),
        controllers=[_Operator],
        kinds=KINDS,
        perform=perform,
        saw=saw,
        there=tuple(_there()),
        renamed=renamed,
    )


async def perform(replay: Replay, what: str) -> None:
    """Do what an EDIT line says."""
    if found := re.match(r"the operators report (\S+)", what):
        for name in OPERATORS:
            await _report(replay, name, found[1])
    elif found := re.match(r"(\S+) operator reports ([\d.]+)", what):
        await _report(replay, found[1], found[2])
    elif what.startswith("machine-config operator says Upgradeable False"):
        await _report(replay, "machine-config", "", Upgradeable="False")
    elif what == "the same, force true":
        await _ask(replay, {"force": True})
    elif what == "desiredUpdate cleared":
        await _ask(replay, None)
    else:
        version = re.search(r"4\.\d+\.\d+", what)
        assert version, what
        wanted: Object = {"version": version[0], "image": image(version[0])}
        if "force" in what and "without force" not in what and "not forced" not in what:
            wanted["force"] = True
        await _ask(replay, wanted)


async def _ask(replay: Replay, wanted: Object | None) -> None:
    await replay.client.patch(CLUSTER_VERSION, NAME, {"spec": {"desiredUpdate": wanted}})


async def _report(replay: Replay, name: str, version: str, **said: str) -> None:
    live = replay.twin.cache.get(CLUSTER_OPERATOR, name) or {}
    states = {"Available": "True", "Degraded": "False", "Progressing": "False", "Upgradeable": "True", **said}
    status: Object = {"conditions": [condition(kind, state, "AsExpected") for kind, state in states.items()]}
    if version:
        status["versions"] = [{"name": "operator", "version": version}]
    await replay.twin.api.status(live, status)


async def saw(replay: Replay, _note: str) -> str:
    """What of the ClusterVersion the recording's test wrote down."""
    status = (replay.twin.cache.get(CLUSTER_VERSION, NAME) or {})["status"]
    told = {
        "desired": status["desired"]["version"],
        "history": _history(status["history"]),
        "conditions": {c["type"]: c["status"] for c in status["conditions"]},
    }
    return _note_of(told)


def _note_of(told: Any) -> str:
    return f"now {json.dumps({**told, 'conditions': dict(sorted(told['conditions'].items()))})}"


def _history(entries: Iterable[Object]) -> list[list[str]]:
    return [[entry["state"], entry["version"]] for entry in entries]


# --- how it is read


def _version(_names: Names, obj: Object) -> dict[str, Any]:
    wanted = obj["spec"].get("desiredUpdate") or {}
    status = obj.get("status") or {}
    return {
        "generation": obj["metadata"].get("generation"),
        **{f"spec.desiredUpdate.{key}": wanted.get(key) for key in ("force", "image", "version")},
        **{f"status.desired.{key}": status["desired"].get(key) for key in ("image", "version")},
        "status.history": _history(status["history"]),
        **dict(_conditions(status)),
    }


def _conditions(status: Object) -> Iterator[tuple[str, str]]:
    for one in status["conditions"]:
        parts = (one["status"], one.get("reason", ""), one.get("message", "")[:LONGEST])
        yield f"status.conditions.{one['type']}", " ".join(filter(None, parts))


def _operator(_names: Names, obj: Object) -> dict[str, Any]:
    return {"status.versions": (obj.get("status") or {}).get("versions"), **conditions(obj)}


KINDS: Mapping[str, Fields] = {"ClusterVersion": _version, "ClusterOperator": _operator}


def renamed(lines: list[Line], _known: Iterable[Line]) -> list[Line]:
    """Without Events and what only the recording's payloads had; a history as states and versions."""
    found = []
    for line in lines:
        if line["type"] == "EDIT":
            note = line["what"].removeprefix("now ")
            found.append(line if note == line["what"] else {**line, "what": _note_of(json.loads(note))})
        elif line["kind"] in KINDS and (change := dict(_plain(line["change"]))):
            found.append({**line, "change": change})
    return found


def _plain(change: Mapping[str, list[Any]]) -> Iterator[tuple[str, list[Any]]]:
    for name, values in change.items():
        if name in LEFT_OUT:
            continue
        if name == "status.history" and values[0] and isinstance(values[0][0], dict):
            old, new = (_history(one) for one in values)
            if old != new:
                yield name, [old, new]
        else:
            yield name, values

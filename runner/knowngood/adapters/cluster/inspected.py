"""What a must-gather or `oc adm inspect` folder holds, as if it were read of the cluster. Nodes are not asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from knowngood.adapters.cluster.discovery import KINDS
from knowngood.model.errors import UsageError
from knowngood.model.matrix import Identity
from knowngood.model.values import Object
from knowngood.planner.discover.seen import Seen

MAX_BYTES = 64 * 1024 * 1024
LOGS = ("logs", "host_service_logs", "audit_logs", "static-pods")
"""Folders of a must-gather that hold no objects."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def seen_in(folder: Path) -> Seen:
    """All objects in its YAML files that are of our kinds' APIs. UsageError where it holds none that we know.

    What such a folder leaves out is not known: kinds of which it has no object are unread, not none.
    """
    if not folder.is_dir():
        raise UsageError(
            "there is no such folder", where=str(folder), hint="unpack it, and name it with --from"
        )
    found: dict[str, dict[tuple[str, str], Object]] = {}
    unread: dict[str, str] = {}
    for file in sorted(folder.rglob("*.yaml")):
        if set(file.relative_to(folder).parts) & set(LOGS):
            continue
        try:
            documents = list(yaml.load_all(_text(file), Loader=_Loader))
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            unread[str(file.relative_to(folder))] = str(error).splitlines()[0]
            continue
        for obj in (o for document in documents for o in _items(document)):
            key = str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"])
            if _is_ours(obj):
                found.setdefault(str(obj["kind"]), {})[key] = obj
    objects = {kind: tuple(found[kind].values()) for kind in KINDS if kind in found}
    if "Node" not in objects:
        hint = "name the folder of a must-gather, or of oc adm inspect nodes"
        raise UsageError("no Node is in its YAML files", where=str(folder), hint=hint)
    missing = {kind: "the folder has none" for kind in KINDS if kind not in found}
    system = found.get("Namespace", {}).get(("", "kube-system"))
    identity = Identity(str(system["metadata"].get("uid") or ""), "") if system else None
    return Seen(objects, {**missing, **unread}, {}, None, identity)


def _text(file: Path) -> str:
    """OSError, also where it is nothing that ends."""
    if not file.is_file():
        raise OSError("no file")
    if file.stat().st_size > MAX_BYTES:
        raise OSError(f"larger than {MAX_BYTES >> 20} MiB")
    return file.read_text(encoding="utf-8")


def _is_ours(obj: Object) -> bool:
    """Whether it is of the API that we know its kind by: others have a Network, a Subscription, an Application."""
    api, _ = KINDS.get(str(obj["kind"]), ("", ""))
    return bool(api) and _group(str(obj.get("apiVersion") or "")) == _group(api)


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _items(document: object) -> Iterator[Object]:
    """The objects of a document: itself, or those of a List, each with its kind."""
    if not isinstance(document, dict):
        return
    items = document.get("items")
    if isinstance(items, list):
        kind = str(document.get("kind") or "").removesuffix("List")
        of_all = {"apiVersion": document.get("apiVersion"), "kind": kind}
        for item in items:
            yield from _items({**of_all, **item} if isinstance(item, dict) else None)
    elif (
        document.get("kind") and isinstance(document.get("metadata"), dict) and "name" in document["metadata"]
    ):
        yield document

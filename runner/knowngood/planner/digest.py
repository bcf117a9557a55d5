"""Digests that bind a plan to the data it was made from, and what changed where they differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster, Profile
from knowngood.model.values import Object, Values


def canonical(value: Any) -> bytes:
    """JSON values or a dataclass as JSON text, the same for the same values in any order of keys."""
    text = json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def digest(value: Any) -> str:
    """sha256 (hex) of a value's canonical text."""
    return hashlib.sha256(canonical(value)).hexdigest()


def cluster_digest(cluster: Cluster) -> str:
    """The digest of what a cluster file says, whatever its comments and layout."""
    return digest(cluster.raw)


def changed(before: Values, now: Values, target: str) -> tuple[str, ...]:
    """What a cluster file says otherwise than when a run to the release `target` began, one line each.

    Whom to call and where the Git token lies may change under a run; so may the pin to `target`, by our own promotion.
    """
    pin = before.get("release") if now.get("release") == target else now.get("release")
    return tuple(differences(_binding(before), _binding({**now, "release": pin})))


def profile_changed(before: Profile, now: Profile) -> tuple[str, ...]:
    """What a hardware profile says otherwise than when a run began, one line each; its sources may change."""
    free: Object = {"sources": (), "where": now.where, "minutes_out": {}}
    return tuple(differences(to_json(replace(before, **free)), to_json(replace(now, **free))))


def _binding(values: Values) -> Object:
    """A cluster file's values without those that do not bind a run."""
    tenants = [_without("contact", tenant) for tenant in values.get("tenants") or ()]
    free = {key: _without("credentials", values[key]) for key in ("gitops", "bmcs") if values.get(key)}
    return {**values, "tenants": tenants, **free}


def _without(key: str, values: Values) -> Object:
    return {name: value for name, value in values.items() if name != key}


def differences(before: Values, now: Values, at: str = "") -> Iterator[str]:
    """What two values say otherwise, a line each: `at.key is NEW, was OLD`."""
    for key in sorted({*before, *now}):
        was, is_ = before.get(key), now.get(key)
        if isinstance(was, Mapping) and isinstance(is_, Mapping):
            yield from differences(was, is_, f"{at}{key}.")
        elif was != is_:
            plain = not any(isinstance(value, (Mapping, list)) for value in (was, is_))
            yield f"{at}{key} is {_said(is_)}, was {_said(was)}" if plain else f"{at}{key} differs"


def _said(value: Any) -> str:
    return "not there" if value is None else str(value)


def files_digest(files: Mapping[str, bytes]) -> str:
    """One digest over files by name, the same wherever they lie; "" for none at all."""
    return digest({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}) if files else ""

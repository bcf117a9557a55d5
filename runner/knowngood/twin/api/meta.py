"""Names, times and uids of objects."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from knowngood.twin.values import Object

# Suffixes of generated names leave out vowels and look-alikes, so that no words arise.
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
MAX_GENERATED_BASE = 58

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
KEY_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def copy(obj: Any) -> Any:
    """Return a deep copy of JSON data; twice as fast as copy.deepcopy."""
    return json.loads(json.dumps(obj))


def now() -> str:
    """Return the present as metadata time stamps have it: whole seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def later(seconds: int) -> str:
    """Return the time so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """Return the present with microseconds, as Leases and the event log have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_uid() -> str:
    """Return a fresh object uid."""
    return str(uuid.uuid4())


def generated_name(base: str) -> str:
    """Return a name for an object that brought a generateName only."""
    suffix = "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))
    return base[:MAX_GENERATED_BASE] + suffix


def is_subdomain(name: str) -> bool:
    """Whether the name suits most kinds: lower case letters, digits, '-' and '.'; at most 253."""
    return len(name) <= 253 and SUBDOMAIN.fullmatch(name) is not None


def is_label(name: str) -> bool:
    """Whether the name suits namespaces: no dots, at most 63."""
    return len(name) <= 63 and LABEL.fullmatch(name) is not None


def is_key(key: str) -> bool:
    """Whether this can be the key of a label, an annotation or a taint."""
    prefix, slash, name = key.rpartition("/")
    return KEY_NAME.fullmatch(name) is not None and (not slash or is_subdomain(prefix))


def is_label_value(value: str) -> bool:
    """Whether this can be the value of a label."""
    return LABEL_VALUE.fullmatch(value) is not None


def deleting(obj: Object) -> bool:
    """Whether the object's deletion was asked for and is not finished."""
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference that controls the object."""
    for reference in obj["metadata"].get("ownerReferences", ()):
        if reference.get("controller"):
            found: Object = reference
            return found
    return None


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)

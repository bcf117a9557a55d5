"""The run's state as ConfigMaps, where another engineer's laptop finds it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from knowngood.adapters.kube import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.errors import DataError, Inconclusive, Location, LockHeld, Problem, UsageError
from knowngood.ports.checkpoint import Checkpoint

KIND_LABEL = f"{names.DOMAIN}/kind"
STATE, FILE = "checkpoint", "file"
DIGEST_ANNOTATION = f"{names.DOMAIN}/sha256"
MAX_BYTES = 512 * 1024
"""Of one kept file, gzipped: half of what etcd takes by default, so that base64 and metadata fit."""
COLLECTION = path("v1", "configmaps", "", names.NAMESPACE)


class ConfigMapCheckpoint(Checkpoint):
    """One ConfigMap a run and one a kept file, in our namespace."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._seen: dict[str, tuple[str, str]] = {}  # run -> (resourceVersion, state as text)

    def save(self, run: str, state: Mapping[str, Any]) -> None:
        """See the port. An abort's annotation is no conflict; another state is."""
        text = json.dumps(state, sort_keys=True)
        if run not in self._seen:
            self._adopt(run)
        if run not in self._seen:
            self._create(run, text)
            return
        version, before = self._seen[run]
        for _ in range(5):
            body = {"metadata": {"resourceVersion": version}, "data": {"state": text}}
            try:
                written = self._kube.merge(_state_path(run), body)
            except ApiError as error:
                if not error.conflict:
                    raise
                found = self._kube.get(_state_path(run))
                if _text(found) not in {before, text}:
                    raise LockHeld(
                        f"somebody else wrote the checkpoint of {run}", hint=f"knowngood status {run}"
                    ) from error
                version = str(found["metadata"]["resourceVersion"])
            else:
                self._seen[run] = (str(written["metadata"]["resourceVersion"]), text)
                return
        raise Inconclusive(f"the checkpoint of {run} changed five times while we wrote it")

    def keep(self, run: str, name: str, data: bytes) -> None:
        """See the port."""
        packed = gzip.compress(data, mtime=0)
        if len(packed) > MAX_BYTES:
            raise UsageError(f"{name} of {run} is {len(packed)} bytes gzipped, more than {MAX_BYTES}")
        digest = hashlib.sha256(data).hexdigest()
        metadata = {
            "name": _file_name(run, name),
            "namespace": names.NAMESPACE,
            "labels": _labels(run, FILE),
            "annotations": {DIGEST_ANNOTATION: digest},
        }
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True}
        body["binaryData"] = {"data": base64.b64encode(packed).decode()}
        try:
            self._kube.create(COLLECTION, body)
        except ApiError as error:
            if not error.conflict:
                raise
            found = self._kube.get(_file_path(run, name))
            if (found["metadata"].get("annotations") or {}).get(DIGEST_ANNOTATION) != digest:
                raise LockHeld(f"{name} of {run} is kept already, with other content") from error

    def load(self, run: str) -> Mapping[str, Any] | None:
        """See the port."""
        self._adopt(run)
        if run not in self._seen:
            return None
        return dict(_json(self._seen[run][1], _state_path(run)))

    def fetch(self, run: str, name: str) -> bytes:
        """See the port. DataError where it is missing or not what was kept."""
        where = f"configmap {names.NAMESPACE}/{_file_name(run, name)}"
        found = self._kube.find(_file_path(run, name))
        if found is None:
            raise _damaged(where, "it is missing")
        try:
            data = gzip.decompress(base64.b64decode(found["binaryData"]["data"]))
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise _damaged(where, "its content can't be unpacked") from error
        if hashlib.sha256(data).hexdigest() != (found["metadata"].get("annotations") or {}).get(
            DIGEST_ANNOTATION
        ):
            raise _damaged(where, "its digest is wrong")
        return data

    def runs(self) -> tuple[str, ...]:
        """See the port."""
        found = self._kube.list(COLLECTION, f"{KIND_LABEL}={STATE}")
        found.sort(
            key=lambda c: str(c["metadata"].get("creationTimestamp")) + c["metadata"]["name"], reverse=True
        )
        return tuple(c["metadata"]["name"].removeprefix(names.CHECKPOINT_PREFIX) for c in found)

    def ask_abort(self, run: str, mode: str) -> None:
        """See the port."""
        body = {"metadata": {"annotations": {names.ABORT_ANNOTATION: mode}}}
        try:
            self._kube.merge(_state_path(run), body)
        except ApiError as error:
            if error.missing:
                raise UsageError(f"this cluster knows no run {run}", hint="knowngood status") from error
            raise

    def abort_asked(self, run: str, within: float | None = None) -> str:
        """See the port."""
        where = _state_path(run)
        found = self._kube.find(where) if within is None else self._kube.once("GET", where, timeout=within)
        annotations = ((found or {}).get("metadata") or {}).get("annotations") or {}
        return str(annotations.get(names.ABORT_ANNOTATION) or "")

    def _adopt(self, run: str) -> None:
        found = self._kube.find(_state_path(run))
        if found is not None:
            self._seen[run] = (str(found["metadata"]["resourceVersion"]), _text(found))

    def _create(self, run: str, text: str) -> None:
        metadata = {"name": f"{names.CHECKPOINT_PREFIX}{run}", "namespace": names.NAMESPACE}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, "labels": _labels(run, STATE)},
            "data": {"state": text},
        }
        try:
            written = self._kube.create(COLLECTION, body)
        except ApiError as error:
            if not error.conflict:
                raise
            written = self._kube.get(_state_path(run))  # our own lost answer, or somebody else
            if _text(written) != text:
                raise LockHeld(f"somebody else wrote the checkpoint of {run}") from error
        self._seen[run] = (str(written["metadata"]["resourceVersion"]), text)


def _labels(run: str, kind: str) -> dict[str, str]:
    return {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.RUN_LABEL: run, KIND_LABEL: kind}


def _state_path(run: str) -> str:
    return path("v1", "configmaps", f"{names.CHECKPOINT_PREFIX}{run}", names.NAMESPACE)


def _file_path(run: str, name: str) -> str:
    return path("v1", "configmaps", _file_name(run, name), names.NAMESPACE)


def _file_name(run: str, name: str) -> str:
    """A DNS name: a digest stays readable, any other name is made one."""
    plain = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
    return f"{names.CHECKPOINT_PREFIX}{run}-{plain}"


def _text(config_map: Mapping[str, Any]) -> str:
    return str((config_map.get("data") or {}).get("state") or "")


def _json(text: str, where: str) -> Mapping[str, Any]:
    try:
        state = json.loads(text)
    except ValueError as error:
        raise _damaged(where, "its state is no JSON") from error
    if not isinstance(state, dict):
        raise _damaged(where, "its state is no JSON object")
    return state


def _damaged(where: str, why: str) -> DataError:
    return DataError((Problem(Location(where), why, "checkpoint"),))

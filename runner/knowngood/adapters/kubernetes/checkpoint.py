"""The run's state as ConfigMaps, where another engineer's laptop finds it."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
import uuid
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model import names
from knowngood.model.errors import DataError, Inconclusive, Location, LockHeld, Problem, UsageError
from knowngood.model.jsonable import from_json
from knowngood.model.packing import Packer
from knowngood.model.run_summary import RunSummary, summary_of
from knowngood.model.state import RunState
from knowngood.model.values import Values
from knowngood.ports.checkpoint import Checkpoint

KIND_LABEL = f"{names.DOMAIN}/kind"
STATE, FILE, FORGOTTEN = "checkpoint", "file", "forgotten"
"""The third is a state whose files are being deleted: it is listed no more, whatever a kill leaves of it."""
DIGEST_ANNOTATION = f"{names.DOMAIN}/sha256"
PARTS_ANNOTATION = f"{names.DOMAIN}/parts"
MAX_BYTES = 512 * 1024
"""Of one object of a kept file, gzipped: half of what etcd takes by default, so that base64 and metadata fit.

A larger file, such as the measurement of a thousand nodes, is kept in parts.
"""
_FIELDS = tuple(f.name for f in dataclasses.fields(RunSummary) if f.name != "run")
COLLECTION = path("v1", "configmaps", "", names.NAMESPACE)


@dataclass(slots=True)
class Seen:
    """What lies in the cluster as far as we know: the version of the ConfigMap and what we would replace.

    An abort that is asked for makes another version.
    """

    version: str
    text: str
    writer: str
    summary: RunSummary
    abort: str


class ConfigMapCheckpoint(Checkpoint):
    """One ConfigMap a run and one a kept file, in our namespace."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._seen: dict[str, Seen] = {}
        self._packers: dict[str, Packer] = {}
        self._writer = uuid.uuid4().hex

    def save(self, state: RunState, *, heed: bool = False) -> str:
        """See the port. An abort's annotation is no conflict; another state is."""
        run = state.run
        if run not in self._seen and (found := self._kube.find(_state_path(run))) is not None:
            self._seen[run] = _seen(found)
        if run in self._seen:
            _refuse_newer(self._seen[run].summary, state)
            if heed and self._seen[run].abort:
                return self._seen[run].abort
        packed = self._packers.setdefault(run, Packer()).pack(state)
        for digest, data in packed.files.items():
            self.keep(run, digest, data)
        text = json.dumps(packed.document, sort_keys=True)
        metadata = {"annotations": self._annotations(state)}
        if run not in self._seen:
            self._create(run, metadata, text)
            return ""
        for _ in range(5):
            if self._written(run, metadata, text):
                return ""
            if heed and self._seen[run].abort:
                return self._seen[run].abort
        raise Inconclusive(f"the checkpoint of {run} changed five times while we wrote it")

    def _written(self, run: str, metadata: Object, text: str) -> bool:
        """Replace what we have seen; False where somebody wrote on it, which we then have seen."""
        before, where = self._seen[run], _state_path(run)
        body = {"metadata": {**metadata, "resourceVersion": before.version}, "data": {"state": text}}
        try:
            self._seen[run] = _seen(self._kube.merge(where, body))
        except ApiError as error:
            if error.missing:
                raise LockHeld(
                    f"the checkpoint of {run} was deleted", hint=f"knowngood handover {run}"
                ) from error
            if not error.conflict:
                raise
            now = _seen(self._kube.get(where))
            ours = (now.text, now.writer) == (text, self._writer)  # its answer got lost: it was sent again
            if not ours and (now.text, now.writer) != (before.text, before.writer):
                raise _overtaken(now.summary) from error
            self._seen[run] = now
            return ours
        return True

    def _annotations(self, state: RunState) -> dict[str, str]:
        return {**_told(summary_of(state)), names.WRITER_ANNOTATION: self._writer}

    def keep(self, run: str, name: str, data: bytes) -> None:
        """See the port."""
        packed, digest = gzip.compress(data, mtime=0), hashlib.sha256(data).hexdigest()
        parts = [packed[at : at + MAX_BYTES] for at in range(0, len(packed), MAX_BYTES)]
        for number in reversed(range(len(parts))):  # the first one last: where it is, all are
            self._keep_part(run, _part(name, number), parts[number], (digest, len(parts)))

    def _keep_part(self, run: str, name: str, packed: bytes, told: tuple[str, int]) -> None:
        digest, parts = told
        metadata = {
            "name": _file_name(run, name),
            "namespace": names.NAMESPACE,
            "labels": _labels(run, FILE),
            "annotations": {DIGEST_ANNOTATION: digest, PARTS_ANNOTATION: str(parts)},
        }
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True}
        body["binaryData"] = {"data": base64.b64encode(packed).decode()}
        try:
            self._kube.create(COLLECTION, body)
        except ApiError as error:
            if not error.conflict:
                raise
            found = self._kube.get(_file_path(run, name))
            if _notes(found).get(DIGEST_ANNOTATION) != digest:
                raise LockHeld(f"{name} of {run} is kept already, with other content") from error

    def load(self, run: str) -> RunState | None:
        """See the port."""
        found = self._kube.find(_state_path(run))
        if found is None:
            self._seen.pop(run, None)
            return None
        state = self._state(found)
        self._seen[run] = _seen(found, summary_of(state))
        return state

    def _state(self, found: Object) -> RunState:
        run = _run(found)
        packer = self._packers[run] = Packer()
        try:
            document = _json(_text(found), _state_path(run))
            return packer.unpack(document, lambda digest: self.fetch(run, digest))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            by = _notes(found).get(_key("version"), "")
            raise _damaged(
                _state_path(run), "its state can't be read" + (f"; knowngood {by} wrote it" if by else "")
            ) from error

    def fetch(self, run: str, name: str) -> bytes:
        """See the port. DataError where it is missing or not what was kept."""
        where = f"configmap {names.NAMESPACE}/{_file_name(run, name)}"
        first = self._part(run, name, 0)
        try:
            parts = int(_notes(first).get(PARTS_ANNOTATION, "1"))
            rest = [self._part(run, name, number) for number in range(1, parts)]
            packed = b"".join(base64.b64decode(part["binaryData"]["data"]) for part in (first, *rest))
            data = gzip.decompress(packed)
        except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
            raise _damaged(where, "its content can't be unpacked") from error
        if hashlib.sha256(data).hexdigest() != _notes(first).get(DIGEST_ANNOTATION):
            raise _damaged(where, "its digest is wrong")
        return data

    def _part(self, run: str, name: str, number: int) -> Object:
        part = _part(name, number)
        found = self._kube.find(_file_path(run, part))
        if found is None:
            raise _damaged(f"configmap {names.NAMESPACE}/{_file_name(run, part)}", "it is missing")
        return found

    def runs(self) -> tuple[RunSummary, ...]:
        """See the port. Where a summary is missing (an older version's) or damaged, the state is read."""
        found = self._kube.metadata(COLLECTION, f"{KIND_LABEL}={STATE}")
        found.sort(
            key=lambda c: str(c["metadata"].get("creationTimestamp")) + c["metadata"]["name"], reverse=True
        )
        return tuple(self._summarised(c) for c in found)

    def _summarised(self, found: Object) -> RunSummary:
        if _key("seq") in _notes(found):
            with suppress(DataError):
                return _summary(found)
        run = _run(found)
        whole = self._kube.find(_state_path(run))
        return replace(summary_of(self._state(whole)), run=run) if whole else RunSummary(run)

    def forget(self, run: str) -> None:
        """See the port. First it is listed no more, for nobody can read it once files are gone; its state goes last.

        What a kill left of another one goes with it.
        """
        try:
            self._kube.merge(_state_path(run), {"metadata": {"labels": {KIND_LABEL: FORGOTTEN}}})
        except ApiError as error:
            if not error.missing:
                raise
        halves = self._kube.metadata(COLLECTION, f"{KIND_LABEL}={FORGOTTEN}")
        for gone in dict.fromkeys((run, *(_run(state) for state in halves))):
            self._delete(gone)

    def _delete(self, run: str) -> None:
        for item in self._kube.metadata(COLLECTION, f"{names.RUN_LABEL}={run},{KIND_LABEL}={FILE}"):
            self._kube.delete(f"{COLLECTION}/{item['metadata']['name']}")
        self._kube.delete(_state_path(run))
        self._seen.pop(run, None)
        self._packers.pop(run, None)

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

    def _create(self, run: str, metadata: Object, text: str) -> None:
        name = {"name": f"{names.CHECKPOINT_PREFIX}{run}", "namespace": names.NAMESPACE}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, **name, "labels": _labels(run, STATE)},
            "data": {"state": text},
        }
        try:
            written = self._kube.create(COLLECTION, body)
        except ApiError as error:
            if not error.conflict:
                raise
            written = self._kube.get(_state_path(run))  # our own lost answer, or somebody else
            if (now := _seen(written)).writer != self._writer:
                raise _overtaken(now.summary) from error
        self._seen[run] = _seen(written)


def _refuse_newer(there: RunSummary, state: RunState) -> None:
    """LockHeld where what lies there is newer, or has ended and this state was not reopened from it."""
    if there.seq > state.seq or (there.end and there.seq not in {state.reopened, state.seq}):
        raise _overtaken(there)


def _overtaken(there: RunSummary) -> LockHeld:
    by = f" by {there.who}" if there.who else ""
    what = f"it ended {there.end}" if there.end else f"it went on to {there.step or 'its first step'}"
    return LockHeld(
        f"somebody else wrote the checkpoint of {there.run}: {what}{by}",
        hint=f"knowngood status {there.run}",
    )


def _seen(found: Object, summary: RunSummary | None = None) -> Seen:
    version, notes = str(found["metadata"]["resourceVersion"]), _notes(found)
    writer, abort = (notes.get(key, "") for key in (names.WRITER_ANNOTATION, names.ABORT_ANNOTATION))
    return Seen(version, _text(found), writer, summary or _summary(found), abort)


def _run(found: Object) -> str:
    return str(found["metadata"]["name"]).removeprefix(names.CHECKPOINT_PREFIX)


def _notes(found: Object) -> dict[str, str]:
    return dict(found["metadata"].get("annotations") or {})


def _told(summary: RunSummary) -> dict[str, str]:
    """A summary as annotations; what is None has none."""
    values = {name: getattr(summary, name) for name in _FIELDS}
    return {
        _key(name): json.dumps(value) if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _key(name: str) -> str:
    return f"{names.SUMMARY_ANNOTATIONS}{name.replace('_', '-')}"


def _summary(found: Object) -> RunSummary:
    """The summary that stands beside a state; of an older version's it says only the name."""
    notes, run = _notes(found), _run(found)
    told = {name: notes.get(_key(name), "") for name in _FIELDS}
    try:
        numbers = {name: int(told[name] or 0) for name in ("seq", "fence")}
        exit_code = int(told["exit_code"]) if told["exit_code"] else None
    except ValueError as error:
        raise _damaged(_state_path(run), "its summary can't be read") from error
    known = {**told, **numbers, "exit_code": exit_code, "changed": told["changed"] == "true"}
    return from_json(RunSummary, {**known, "run": run})


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


def _part(name: str, number: int) -> str:
    return f"{name}.{number}" if number else name


def _text(config_map: Values) -> str:
    return str((config_map.get("data") or {}).get("state") or "")


def _json(text: str, where: str) -> Values:
    try:
        state = json.loads(text)
    except ValueError as error:
        raise _damaged(where, "its state is no JSON") from error
    if not isinstance(state, dict):
        raise _damaged(where, "its state is no JSON object")
    return state


HINT = (
    "go on with the version that wrote it; a run that is over and can't be read is forgotten by deleting it"
)


def _damaged(where: str, why: str) -> DataError:
    return DataError((Problem(Location(where), why, "checkpoint", HINT),))

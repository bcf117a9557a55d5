"""A run's state as the checkpoint holds it: bounded, however many nodes the run moves. Pure.

What is settled does not change any more: as soon as the outcomes that lie in the checkpoint itself are more than CHUNK
bytes, they become a file beside it, and only its digest stays. So the checkpoint grows by one digest for each CHUNK.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from knowngood.model.jsonable import from_json, to_json
from knowngood.model.plan import Plan
from knowngood.model.state import RunState, StepResult
from knowngood.model.steppath import StepPath
from knowngood.model.values import Object, Values

CHUNK = 32 * 1024
"""Bytes of outcomes that the checkpoint itself holds at most."""
LIMIT = 768 * 1024
"""Bytes of a checkpoint: three quarters of what etcd takes by default, so that metadata and growth fit."""
WORDS = 800
"""Characters kept of why a run is interrupted."""
END_BYTES = 4096
"""An end that names more than this becomes a file, too."""

_BASE = 8 * 1024  # fields of one value each, the interruption's words, a small end
_STEP = 1024  # of a step that names no node: path, times, digests, reason
_NODE = 700  # what one step says at most of one node: its name, a reason
_TOLD = 16  # steps that may say something of a node, forward, back and at the end
_DIGEST = 70

Results = Sequence[tuple[StepPath, StepResult]]


@dataclass(frozen=True, slots=True)
class Packed:
    """What to write: the files first, by their digest, then the document."""

    document: Values
    files: Mapping[str, bytes]


@dataclass(slots=True)
class _Chunk:
    digest: str
    paths: tuple[StepPath, ...]
    results: tuple[StepResult, ...] = ()  # as they were last compared


@dataclass(slots=True)
class Packer:
    """Packs one run's states, one after the other; remembers which outcomes are files already."""

    chunks: list[_Chunk] = field(default_factory=list)

    def pack(self, state: RunState) -> Packed:
        """The state as a document and the files that it names and that are new."""
        files: dict[str, bytes] = {}
        tail = state.intended[self._unchanged(state) :]
        here = [(path, state.results[path]) for path in tail if path in state.results]
        if _size(here) > CHUNK and (settled := _settled(tail, state.results)):
            data = _encoded(_rows(settled))
            self.chunks.append(
                _Chunk(_digest(data), tuple(p for p, _ in settled), tuple(r for _, r in settled))
            )
            files[self.chunks[-1].digest] = data
            tail = tail[len(settled) :]
            here = [(path, result) for path, result in here if path in tail]
        document: Object = {"archived": [chunk.digest for chunk in self.chunks], "here": _rows(here)}
        end = state.end
        if end is not None and len(data := _encoded(to_json(end.nodes))) > END_BYTES:
            document["end_nodes"] = _digest(data)
            files[document["end_nodes"]] = data
            end = replace(end, nodes={})
        small = replace(state, results={}, intended=tail, end=end, interrupted=state.interrupted[:WORDS])
        return Packed({**document, "state": to_json(small)}, files)

    def unpack(self, document: Values, fetch: Callable[[str], bytes]) -> RunState:
        """The state that was packed. KeyError, TypeError or ValueError where it is none."""
        self.chunks = []
        state = from_json(RunState, document["state"])
        if "archived" not in document:  # an older version's: it counts its records by its own journal
            return replace(state, seq=max(state.seq, state.next_seq))
        results: dict[StepPath, StepResult] = {}
        for digest in document["archived"]:
            rows = _read(json.loads(fetch(digest)))
            self.chunks.append(_Chunk(str(digest), tuple(rows)))
            results |= rows
        intended = (*results, *state.intended)
        results |= _read(document["here"])
        if state.end is not None and (digest := document.get("end_nodes")):
            state = replace(state, end=replace(state.end, nodes=json.loads(fetch(digest))))
        return replace(state, results=results, intended=intended)

    def _unchanged(self, state: RunState) -> int:
        """How many of the first steps are files as they are now; a file that no longer fits is given up."""
        at = 0
        for number, chunk in enumerate(self.chunks):
            paths = state.intended[at : at + len(chunk.paths)]
            now = tuple(state.results.get(path) for path in paths)
            if paths != chunk.paths or None in now or not _fits(chunk, now):  # type: ignore[arg-type]
                del self.chunks[number:]
                break
            chunk.results = now  # type: ignore[assignment]
            at += len(paths)
        return at


def bound(plan: Plan, frozen: Values) -> int:
    """Bytes that a run's checkpoint can reach at most, by its plan and what its record 0 freezes."""
    rings = [part for hop in plan.hops for part in hop.parts]
    names = max(
        (sum(len(n) + 4 for n in nodes) for nodes in (plan.nodes, *(r.nodes for r in rings))), default=0
    )
    # Each batch, and once more what it gave back.
    steps = 100 + sum(40 + 20 * len(ring.batches) for ring in rings)
    told = steps * _STEP + sum(len(ring.nodes) for ring in rings) * _NODE * _TOLD
    # Two steps may be without an answer at once: the one that is done and the one that a kill left.
    return _BASE + len(_encoded(to_json(frozen))) + CHUNK + 2 * names + _DIGEST * (told // CHUNK + 1)


def _settled(tail: Sequence[StepPath], results: Mapping[StepPath, StepResult]) -> Results:
    """The steps from the first on that have an outcome, up to one that has none: their order is kept."""
    settled = []
    for path in tail:
        if path not in results:
            break
        settled.append((path, results[path]))
    return settled


def _fits(chunk: _Chunk, now: tuple[StepResult, ...]) -> bool:
    if chunk.results:
        return all(a is b or a == b for a, b in zip(chunk.results, now, strict=True))
    return _digest(_encoded(_rows(list(zip(chunk.paths, now, strict=True))))) == chunk.digest


def _rows(results: Results) -> list[list[Any]]:
    """Outcomes in order, what is empty left out."""
    return [[path, {k: v for k, v in to_json(result).items() if v}] for path, result in results]


def _read(rows: Sequence[Sequence[Any]]) -> dict[StepPath, StepResult]:
    return {StepPath(path): from_json(StepResult, result) for path, result in rows}


def _size(results: Results) -> int:
    return sum(len(_encoded(row)) for row in _rows(results))


def _encoded(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

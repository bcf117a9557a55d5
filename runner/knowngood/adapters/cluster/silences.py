"""Silences as holds: the alerts of nodes that are out. Whose one is and until when stands in the silence itself.

Alertmanager ends each by itself at that time, whatever becomes of us.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from knowngood.adapters.clock import timestamp
from knowngood.adapters.cluster.alertmanager import Silencer
from knowngood.adapters.kubernetes.client import Kube, Object
from knowngood.model.alerts import Alertmanager
from knowngood.model.errors import Interrupted, KnowngoodError
from knowngood.model.node import Leftover
from knowngood.planner.holding import worn
from knowngood.ports.holds import LetGo, Term

HOLD = "alerts"
KIND = "Silence"
BY = "knowngood/"
"""`createdBy` of ours: this and the run."""
NOBODY = "alerts go on: the cluster file names no alertmanager"


class Silences:
    """Those of one cluster; each call asks for the list once. Without an Alertmanager there are none."""

    def __init__(self, kube: Kube, at: Alertmanager) -> None:
        self._labels = at.labels
        self._silencer = Silencer(kube, at) if at.at else None

    @property
    def there(self) -> bool:
        """Whether there is anybody to ask."""
        return self._silencer is not None

    def take(self, nodes: Collection[str], term: Term) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """Silence the alerts of these nodes: what is silenced, and what could not be, with the reason."""
        held: list[str] = []
        failed: dict[str, str] = {}
        try:
            ours = _of(term.run, self._all())
            for label in self._labels:
                wanted = [matcher(label, nodes)]
                self._silence(wanted, [s for s in ours if s.get("matchers") == wanted], term)
                held.append(called(wanted))
        except Interrupted:
            raise
        except KnowngoodError as error:
            failed["alerts"] = str(error)
        return tuple(held), failed

    def keep(self, kept: Sequence[str], term: Term) -> dict[str, str]:
        """See that these are silenced until the term ends; what somebody ended is silenced again, and named."""
        found: dict[str, str] = {}
        ours = _of(term.run, self._all()) if kept else []
        for name in kept:
            mine = [s for s in ours if called(s["matchers"]) == name]
            if not mine:
                found[name] = "it is gone"
                continue
            if not any(map(_stands, mine)):
                found[name] = "somebody ended it: silenced again"
            self._silence(mine[0]["matchers"], mine, term)
        return found

    def let_go(self, run: str) -> LetGo:
        """End all of this run."""
        done: list[str] = []
        failed: dict[str, str] = {}
        for silence in filter(_stands, _of(run, self._all())):
            try:
                self._asked.end(str(silence["id"]))
                done.append(called(silence["matchers"]))
            except Interrupted:
                raise
            except KnowngoodError as error:
                failed[called(silence["matchers"])] = f"{error}; it ends by itself at {silence.get('endsAt')}"
        return LetGo(tuple(done), failed)

    def leftovers(self) -> list[Leftover]:
        """Every silence of ours that stands, whichever run's."""
        return [
            Leftover(
                "hold",
                called(s["matchers"]),
                f"of run {_run(s)}, meant until {s.get('endsAt')}: {s.get('comment', '')}",
                _run(s),
            )
            for s in self._all()
            if _run(s) and _stands(s)
        ]

    def _silence(self, matchers: Sequence[Object], mine: Sequence[Object], term: Term) -> None:
        standing = [s for s in mine if _stands(s)]
        now = timestamp()
        if any(not worn(str(s.get("endsAt", "")), now, term.until) for s in standing):
            return
        body = {
            "matchers": list(matchers),
            "startsAt": standing[0]["startsAt"] if standing else now,
            "endsAt": term.until,
            "createdBy": f"{BY}{term.run}",
            "comment": f"knowngood run {term.run} by {term.who}: these nodes are out of service",
        }
        self._asked.write({**body, **({"id": standing[0]["id"]} if standing else {})})

    def _all(self) -> list[Object]:
        return self._asked.all() if self.there else []

    @property
    def _asked(self) -> Silencer:
        if self._silencer is None:
            raise ValueError(NOBODY)
        return self._silencer


def matcher(label: str, nodes: Collection[str]) -> Object:
    """What an alert of one of these nodes has. Alertmanager's expressions hold at both ends."""
    names = "|".join(re.escape(node).replace("\\-", "-") for node in sorted(nodes))
    return {"name": label, "value": f"({names})(:[0-9]+)?", "isRegex": True, "isEqual": True}


def called(matchers: Sequence[Object]) -> str:
    """A silence in words, by what it matches."""
    return f"{KIND} " + ",".join(f"{m.get('name')}=~{m.get('value')}" for m in matchers)


def _of(run: str, silences: Iterable[Object]) -> list[Object]:
    """A run's, those that stand and the newest first."""
    mine = [s for s in silences if _run(s) == run]
    return sorted(mine, key=lambda s: (_stands(s), str(s.get("updatedAt", ""))), reverse=True)


def _run(silence: Object) -> str:
    by = str(silence.get("createdBy") or "")
    return by.removeprefix(BY) if by.startswith(BY) else ""


def _stands(silence: Object) -> bool:
    return (silence.get("status") or {}).get("state") in {"active", "pending"}

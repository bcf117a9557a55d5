"""What crosses the border to the pytest process: the request (`context.json`) and the events that come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.mover import Specs
from knowngood.model.values import Values


@dataclass(frozen=True, slots=True)
class Window:
    """Since when a node is judged: log lines of `boot_id` after `monotonic` seconds, and all later boots.

    `since` is the same moment as RFC 3339 wall time, for humans and for journals that only take that.
    """

    boot_id: str
    monotonic: float
    since: str


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one boot that an earlier run answers for: seconds since boot; `end` None: it is not over."""

    boot_id: str
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """One judgement. `name` is its id within the run (`ring-0/judge`), and names its folder.

    `gates` are required on each of `nodes`; one that gives no result makes the judgement inconclusive.
    `expect` maps a node to the versions that must run there. `baseline` maps "<gate>/<node>" to the
    figures measured before the change (empty for a baseline itself). `claimed`: our taint is on the nodes,
    so drift does not count it as left over. `schemes` maps a component to how its versions are read; one that
    is not named must report the very text that is expected. `reported`: of components whose modules may say another
    version than their package's, what is said -> the version, and all versions that are known.

    `loads` says since when the module that is judged is loaded: its errors are counted from there, for a baseline as
    for a judgement. A node that is not in it: nobody knows. `loads_as_read`: the judge reads them itself, with all else
    of the nodes. `excluded` are the spans that earlier runs answer for: what they caused is no measure of anything.
    `movers`: what may move, and what proves that it did.
    `tenants_work`: the nodes are at their tenants' work, so an application's error may be theirs; `still` are GPU nodes
    that did not move: what their logs show, too, is not the change's. `by_hand`: somebody moves the nodes by hand, so
    their boots are told, not judged.
    `only`: gates that judge not all of the nodes, with those that they judge; the others' hardware has no need of them.
    `first_loads`: what is judged was proven once before, from that load: it must have come a second time; `not_again`:
    why it did not, as it was measured; `moved`: what its hop moves, () where that is not told.
    `own_boots`: how often the run itself booted a node since its window opened.
    `partners`: nodes outside that a judged one may meet where too few are judged, while no tenant works there.
    `begun`: the run looked at the nodes just now, at its start; that very look may be judged.
    """

    name: str
    run: str
    gates: tuple[str, ...]
    nodes: tuple[str, ...]
    expect: Mapping[str, Mapping[str, str]]
    windows: Mapping[str, Window]
    baseline: Mapping[str, Values] = field(default_factory=dict)
    claimed: bool = False
    taking_baseline: bool = False
    deadline: float = 1800.0  # seconds
    schemes: Mapping[str, str] = field(default_factory=dict)
    loads: Mapping[str, Window] = field(default_factory=dict)
    loads_as_read: bool = False
    begun: bool = False
    first_loads: Mapping[str, Window] = field(default_factory=dict)
    not_again: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[str, ...] = ()
    own_boots: Mapping[str, int] = field(default_factory=dict)
    tenants_work: bool = False
    still: tuple[str, ...] = ()
    by_hand: bool = False
    partners: tuple[str, ...] = ()
    excluded: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    movers: Specs = field(default_factory=dict)
    reported: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """Each gate with each node that it is required on."""
        return tuple((gate, node) for gate in self.gates for node in self.only.get(gate, self.nodes))

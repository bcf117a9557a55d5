"""What a step's outcome says: the one place where the words of outcome records stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.context import Window
from knowngood.model.evidence import GateSuite
from knowngood.model.jsonable import Sparse

Reasons = Mapping[str, str]
"""Node -> why."""
Nodes = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Detail(Sparse):
    """One outcome's content. A journal's record has the fields that say something, by the same names.

    Any step: `why` it did not end OK, or what must be heard of it all the same; `hint` what to do next; `failed` and
    `given_back` name nodes with the reason, `done` and `could_not` without, `stripped` those that lost our claim.
    `lost` nodes carry something of ours but no claim. `usage`: it stopped at what the user wrote; `bug`: at a mistake
    of ours; `abort`: the mode of the abort that cut it short.
    """

    why: str = ""
    hint: str = ""
    done: Nodes = ()
    failed: Reasons = field(default_factory=dict)
    given_back: Reasons = field(default_factory=dict)
    could_not: Nodes = ()
    stripped: Nodes = ()
    lost: Reasons = field(default_factory=dict)
    usage: bool = False
    bug: bool = False
    abort: str = ""
    # The first look and preflight: nodes measured; all findings in words; what nobody could tell.
    nodes: int | None = None
    findings: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    record: str = ""
    # Git: our commit (in a way back that of `undoes`), the revert of the proven way back, seconds until it was there.
    commit: str = ""
    revert: str = ""
    undoes: str = ""
    seconds: float | None = None
    # A change window: what the ring and its undo take, and until when the undo must start.
    ring_seconds: float | None = None
    undo_seconds: float | None = None
    by: str = ""
    # Holds: what is held, and until when it is needed; what others lifted; what could not be let go.
    held: tuple[str, ...] = ()
    until: str = ""
    lifted: Reasons = field(default_factory=dict)
    kept: Reasons = field(default_factory=dict)
    # Looks: where judgements begin, since when what moved is loaded and which version that is, who else restarted it.
    windows: Mapping[str, Window] = field(default_factory=dict)
    loads: Mapping[str, Window] = field(default_factory=dict)
    loaded: Mapping[str, str] = field(default_factory=dict)
    restarted: Reasons = field(default_factory=dict)
    changed: Nodes = ()
    claimed: Nodes = ()
    back: Nodes = ()
    free: Nodes = ()
    # Judgements: nodes on which a gate measured a fail; `at_once`: the profile asks for no second look.
    verdict: str = ""
    results: int | None = None
    gates: tuple[str, ...] = ()
    suite: GateSuite | None = None
    measured: Nodes = ()
    at_once: bool = False
    trouble: str = ""
    # The soak.
    wanted_gpu_seconds: float | None = None
    tenants_gpu_seconds: float | None = None
    synthetic_gpu_seconds: float | None = None
    unseen_seconds: float | None = None
    filled: Nodes = ()
    # The proof of `restored`.
    unread: Reasons = field(default_factory=dict)
    reported: Reasons = field(default_factory=dict)
    left: tuple[str, ...] = ()
    not_running: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # The matrix.
    status: str = ""
    because: str = ""
    where: str = ""
    file: str = ""
    note: str = ""
    undelivered: str = ""

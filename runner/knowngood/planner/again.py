"""Whether a release may be tried where it failed: never again just so, always on the way back. Pure.

A release speaks against itself on this cluster, by its runs here, and on this hardware, by evidence from any cluster.
A later proof takes that back: one from here what happened here, any what happened elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from knowngood.model.evidence import FAILED, Evidence, by_pool
from knowngood.model.matrix import ReleaseStatus
from knowngood.planner.status import moment

SHOWN = 3
"""Failures that a text names; there may be more."""
LONGEST = 200
"""Characters of a failure's reason that a text repeats."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One run in which a gate said no to a release.

    `nodes` are those on which it did, `gates` is the digest of the gates that judged, `images` maps a node to the
    images that it ran before. Empty: not known any more.
    """

    run: str
    cluster: str
    time: str
    because: str
    from_release: str = ""
    gates: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    profile: str = ""  # the hardware; "": all of the cluster's

    @property
    def sentence(self) -> str:
        """It in one line."""
        return f"in run {self.run} on {self.cluster}, {self.time[:16]}: {self.because[:LONGEST]}"


@dataclass(frozen=True, slots=True)
class Proof:
    """One run that proved a release; `profile` as of a failure."""

    cluster: str
    time: str
    profile: str = ""

    def takes_back(self, failure: Failure, cluster: str) -> bool:
        """Whether it is later, on the same hardware, and speaks of `cluster` where the failure does."""
        alike = "" in (self.profile, failure.profile) or self.profile == failure.profile
        near = failure.cluster != cluster or self.cluster == cluster
        return alike and near and _later(self.time, failure.time)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is about to be done, as far as it may differ from a failure."""

    from_release: str
    gates: str
    versions: Mapping[str, str]
    nodes: tuple[str, ...]
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def of_evidence(
    evidence: Iterable[Evidence], release: str, profiles: Collection[str]
) -> tuple[list[Failure], list[Proof]]:
    """What the matrix's evidence says of a release on this hardware."""
    failures, proofs = [], []
    for one in (part for whole in evidence for part in by_pool(whole)):
        if one.release != release or one.profile not in ("", *profiles):
            continue
        if one.status == FAILED:
            nodes = tuple(dict.fromkeys(said.node for said in one.verdicts if said.verdict == "fail"))
            failures.append(
                Failure(
                    one.run,
                    one.cluster,
                    one.time,
                    one.because,
                    one.from_release,
                    one.gates.digest,
                    one.versions,
                    tuple(node for node in nodes if node),
                    profile=one.profile,
                )
            )
        elif one.status == ReleaseStatus.KNOWN_GOOD:
            proofs.append(Proof(one.cluster, one.time, one.profile))
    return failures, proofs


def standing(failures: Iterable[Failure], proofs: Iterable[Proof], cluster: str) -> tuple[Failure, ...]:
    """The failures that no later proof takes back, each run once, this cluster's own and the newest first."""
    known = tuple(proofs)
    found: dict[str, Failure] = {}
    for failure in failures:
        if not any(proof.takes_back(failure, cluster) for proof in known):
            found.setdefault(failure.run, failure)
    newest = sorted(found.values(), key=lambda f: f.time, reverse=True)
    return tuple(sorted(newest, key=lambda f: f.cluster != cluster))


def _later(proof: str, failure: str) -> bool:
    """A time that can't be read proves nothing."""
    try:
        return moment(proof) > moment(failure)
    except ValueError:
        return False


def against(failures: Iterable[Failure], cluster: str, *, own: bool) -> tuple[Failure, ...]:
    """Those that refuse an upgrade. `own`: the release is an earlier state of this very cluster.

    There it ran: what others met with it elsewhere is told, and bars no way back.
    """
    return tuple(f for f in failures if not own or f.cluster == cluster)


def differences(failure: Failure, attempt: Attempt) -> tuple[str, ...]:
    """What is different now, one line each; empty: nothing that is known."""
    return tuple(_differences(failure, attempt))


def _differences(failure: Failure, now: Attempt) -> Iterator[str]:
    if failure.gates and failure.gates != now.gates:
        yield f"other gates judge: {now.gates[:12]}, then {failure.gates[:12]}"
    if failure.from_release and failure.from_release != now.from_release:
        yield f"it starts from {now.from_release}, then from {failure.from_release}"
    for component in sorted({*failure.versions, *now.versions} if failure.versions else ()):
        was, is_ = failure.versions.get(component, "nothing"), now.versions.get(component, "nothing")
        if was != is_:
            yield f"the release names {component} {is_}, then {was}"
    if left_out := [node for node in failure.nodes if node not in now.nodes]:
        yield f"{', '.join(left_out)}, on which it failed, is no part of it"
    yield from _images(failure.images, now.images)


def _images(then: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Operands whose image is another one now, each named once with the first node that shows it."""
    told: set[str] = set()
    for node in sorted(then.keys() & now.keys()):
        for operand in sorted(then[node].keys() & now[node].keys()):
            was, is_ = then[node][operand], now[node][operand]
            if was != is_ and operand not in told:
                told.add(operand)
                yield f"{operand} runs from {_short(is_)} on {node}, then from {_short(was)}"


def _short(image: str) -> str:
    name, _, digest = image.partition("@")
    return f"{name.rpartition('/')[2]}@{digest[:19]}" if digest else name.rpartition("/")[2]


def told(failure: Failure, different: tuple[str, ...]) -> str:
    """What a run that tries again says of one failure."""
    now = "; ".join(different) if different else "nothing that is known: the same try once more"
    return f"it failed {failure.sentence}. Different now: {now}"

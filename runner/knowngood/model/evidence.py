"""Evidence as values: what was judged, on what, when, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from knowngood.model.matrix import Identity, ReleaseStatus
from knowngood.model.values import Values

MAX_AGE_DAYS = 90
"""How long evidence counts where neither the cluster nor its profile says so (`evidenceMaxAgeDays`).

A choice of ours: in a quarter firmware, tenants and neighbours have changed. No vendor gives a figure.
"""

FAILED = "failed"
INCONCLUSIVE = "inconclusive"
REFUSED = "refused"
"""What an evidence file may say of itself beside a release's statuses. Only `failed` voids older evidence."""


@dataclass(frozen=True, slots=True)
class GateSuite:
    """The gates that judged: a digest over their files, and the commit that has them ("": an installed program)."""

    digest: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one node ran when the evidence was taken. Empty `versions`: it could not be read."""

    versions: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """One gate's last verdict on one node."""

    gate: str
    node: str
    verdict: str
    backend: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One evidence file. What an older program did not write is empty."""

    run: str
    cluster: str
    release: str
    versions: Mapping[str, str]
    status: str
    time: str
    profile: str = ""
    because: str = ""
    expires: str = ""
    identity: Identity | None = None
    gates: GateSuite = GateSuite()
    nodes: Mapping[str, Measured] = field(default_factory=dict)
    verdicts: tuple[Said, ...] = ()
    from_release: str = ""
    pools: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # profile -> nodes, where there are several


def by_pool(evidence: Evidence) -> tuple[Evidence, ...]:
    """One for each hardware profile: what was proven on one kind of machine says nothing of another.

    A verdict on a node of no pool, or on the whole cluster, counts for all of them.
    """
    placed = {node for nodes in evidence.pools.values() for node in nodes}

    def part(profile: str, nodes: tuple[str, ...]) -> Evidence:
        return replace(
            evidence,
            profile=profile,
            pools={},
            nodes={
                name: said for name, said in evidence.nodes.items() if name in nodes or name not in placed
            },
            verdicts=tuple(v for v in evidence.verdicts if v.node in nodes or v.node not in placed),
        )

    return tuple(part(profile, nodes) for profile, nodes in evidence.pools.items()) or (evidence,)


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What evidence is worth: `status` None where it is refused, with every reason; `because` says why not more."""

    status: ReleaseStatus | None
    because: str
    refusals: tuple[str, ...] = ()
    expires: str = ""


def evidence_of(value: Values) -> Evidence:
    """The values of an evidence file that passed its schema, or of one that has no status yet."""
    identity, gates = value.get("identity"), value.get("gates") or {}
    return Evidence(
        run=value["run"],
        cluster=value["cluster"],
        release=value["release"],
        versions=dict(value["versions"]),
        status=value.get("status", ""),
        time=value["time"],
        profile=value.get("profile", ""),
        because=value.get("because", ""),
        expires=value.get("expires", ""),
        identity=Identity(identity.get("uid", ""), identity.get("ca", "")) if identity else None,
        gates=GateSuite(gates.get("digest", ""), gates.get("commit", "")),
        nodes={
            name: Measured(dict(node.get("versions", {})), dict(node.get("images", {})))
            for name, node in value.get("nodes", {}).items()
        },
        verdicts=tuple(
            Said(v["gate"], v["node"], v["verdict"], v.get("backend", "")) for v in value.get("verdicts", ())
        ),
        from_release=value.get("from", ""),
        pools={profile: tuple(nodes) for profile, nodes in value.get("pools", {}).items()},
    )

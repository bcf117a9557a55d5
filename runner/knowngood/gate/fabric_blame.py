"""Whose fault a slow link is, told by partners: a port, a node, a rail or the way between two nodes. Pure.

A link joins the ports of one rail on two nodes. What goes with others is not at fault, so a part is blamed only if
all its links are bad, and of several explanations the smallest number of faults is taken: one port that is bad with
two partners, and not two bad partners. What no partner tells apart is said of both ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Rail = int


class Kind(StrEnum):
    """What is at fault."""

    PORT = "port"  # of one node on one rail
    NODE = "node"  # all its ports
    RAIL = "rail"  # all ports of a rail: a switch
    FABRIC = "fabric"  # every link there is
    WAY = "way"  # between two ports that are good with others
    EITHER = "either"  # one of two ports, or what is between them: neither met anybody else


@dataclass(frozen=True, slots=True)
class Link:
    """One link as it was measured. `good`: None where nothing was measured; `why`: in words, where it is not good."""

    one: str
    other: str
    rail: Rail
    good: bool | None
    why: str = ""

    @property
    def ends(self) -> tuple[str, str]:
        """Its two nodes."""
        return self.one, self.other


@dataclass(frozen=True, slots=True)
class Blame:
    """What is at fault, on which nodes, and by which links that shows. `rail` None: on all of them."""

    kind: Kind
    nodes: tuple[str, ...]
    rail: Rail | None
    links: tuple[Link, ...]


def blame(links: Iterable[Link]) -> list[Blame]:
    """What is at fault, for every bad link something; nothing for links that were not measured."""
    of_rail: dict[Rail, list[Link]] = defaultdict(list)
    for link in links:
        if link.good is not None:
            of_rail[link.rail].append(link)
    found = [one for _, there in sorted(of_rail.items()) for one in _on_rail(there)]
    return _joined(found, of_rail)


def _on_rail(links: Sequence[Link]) -> list[Blame]:
    """What is at fault on one rail."""
    bad = [link for link in links if not link.good]
    going = {end for link in links if link.good for end in link.ends}
    ends = {end for link in bad for end in link.ends}
    shared = set.intersection(*(set(link.ends) for link in bad)) if bad else set()
    if len(bad) > 1 and len(bad) == len(links) and not shared:
        return [Blame(Kind.RAIL, tuple(sorted(ends)), links[0].rail, tuple(bad))]
    found, left = [], bad
    while left:
        degree = {e: [link for link in left if e in link.ends] for e in sorted(ends - going)}
        worst = max(degree, key=lambda e: len(degree[e]), default="")
        if not worst or len(degree[worst]) < 2:
            break
        found.append(Blame(Kind.PORT, (worst,), links[0].rail, tuple(degree[worst])))
        left = [link for link in left if worst not in link.ends]
    blamed = {node for one in found for node in one.nodes}
    return found + [_of_one(link, going, blamed) for link in left]


def _of_one(link: Link, going: set[str], blamed: set[str]) -> Blame:
    """Of a link that shares no suspect with another one."""
    suspects = tuple(end for end in link.ends if end not in going and end not in blamed)
    kind = {0: Kind.WAY, 1: Kind.PORT, 2: Kind.EITHER}[len(suspects)]
    return Blame(kind, suspects or link.ends, link.rail, (link,))


def _joined(found: Sequence[Blame], of_rail: Mapping[Rail, Sequence[Link]]) -> list[Blame]:
    """The same, with what is at fault on every rail said once."""
    if len(of_rail) < 2:
        return [*found]
    left = [*found]
    if all(not link.good for links in of_rail.values() for link in links) and any(
        b.kind is Kind.RAIL for b in found
    ):
        ends = {end for links in of_rail.values() for link in links for end in link.ends}
        return [Blame(Kind.FABRIC, tuple(sorted(ends)), None, _links(found))]
    joined = []
    for kind, then in ((Kind.PORT, Kind.NODE), (Kind.EITHER, Kind.EITHER), (Kind.WAY, Kind.WAY)):
        for nodes in dict.fromkeys(b.nodes for b in left if b.kind is kind):
            same = [b for b in left if (b.kind, b.nodes) == (kind, nodes)]
            if {b.rail for b in same} == {*_rails_of(nodes, of_rail)} and len({b.rail for b in same}) > 1:
                joined.append(Blame(then, nodes, None, _links(same)))
                left = [b for b in left if b not in same]
    return joined + left


def _rails_of(nodes: Sequence[str], of_rail: Mapping[Rail, Sequence[Link]]) -> Iterable[Rail]:
    return (rail for rail, links in of_rail.items() if any({*nodes} & {*link.ends} for link in links))


def _links(found: Iterable[Blame]) -> tuple[Link, ...]:
    return tuple(dict.fromkeys(link for one in found for link in one.links))


def against(node: str, found: Iterable[Blame]) -> list[Blame]:
    """What speaks against a node."""
    return [one for one in found if node in one.nodes]


def unproven(node: str, links: Sequence[Link]) -> dict[Rail, list[Link]]:
    """The rails on which a node has no good link: rail -> what was tried there."""
    own: dict[Rail, list[Link]] = {link.rail: [] for link in links}
    for link in links:
        if node in link.ends:
            own[link.rail].append(link)
    return {rail: tried for rail, tried in own.items() if not any(link.good for link in tried)}

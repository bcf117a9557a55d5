"""A DaemonSet's sums, counted as its pods and nodes change, are those that counting all anew would give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowngood.twin.behaviours.census import HASH_LABEL, NOWHERE, Census, Count, Placement
from knowngood.twin.behaviours.kube import deleting, is_true, labels_of, uid_of
from knowngood.twin.values import Object

NODES = ("n1", "n2", "n3")
REVISIONS = ("old", "new")
PLACEMENTS: tuple[Placement, ...] = (NOWHERE, (False, True), (True, True))


def pod(uid: str, revision: str, *, ready: bool, going: bool) -> Object:
    metadata: Object = {"uid": uid, "labels": {HASH_LABEL: revision}}
    if going:
        metadata["deletionTimestamp"] = "2026-11-29T00:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": metadata, "spec": {}, "status": {"conditions": conditions}}


PODS = st.builds(
    pod, st.sampled_from("abc"), st.sampled_from(REVISIONS), ready=st.booleans(), going=st.booleans()
)
CHANGES = st.one_of(
    st.tuples(st.just("take"), st.sampled_from(NODES), PODS),
    st.tuples(st.just("leave"), st.sampled_from(NODES), PODS),
    st.tuples(st.just("place"), st.sampled_from(NODES), st.sampled_from((None, *PLACEMENTS))),
    st.tuples(st.just("template"), st.just(""), st.sampled_from(REVISIONS)),
)


class Plain:
    """The same facts, counted from the start each time."""

    def __init__(self) -> None:
        self.revision = ""
        self.pods: dict[tuple[str, str], Object] = {}
        self.placed: dict[str, Placement] = {}

    def wanted(self) -> set[str]:
        return {node for node, (run, _) in self.placed.items() if run}

    def count(self) -> Count:
        wanted = self.wanted()
        mine = [p for (node, _), p in self.pods.items() if node in wanted]
        return Count(
            wanted=len(wanted),
            pods=len(self.pods),
            astray=len([node for node, _ in self.pods if node not in wanted]),
            current=len(mine),
            ready=sum(is_true(p, "Ready") for p in mine),
            updated=sum(labels_of(p)[HASH_LABEL] == self.revision for p in mine),
            sound=sum(is_true(p, "Ready") and not deleting(p) for p in self.pods.values()),
        )

    def outdated(self) -> set[str]:
        pods = [p for p in self.pods.values() if not deleting(p)]
        return {uid_of(p) for p in pods if labels_of(p)[HASH_LABEL] != self.revision}


@given(st.lists(CHANGES, max_size=30))
def test_sums_kept_as_things_change_are_those_of_counting_anew(
    changes: list[tuple[str, str, object]],
) -> None:
    census, plain = Census(), Plain()
    for what, node, value in changes:
        match what, value:
            case "take", dict():
                mine = {**value, "metadata": {**value["metadata"], "uid": f"{node}-{uid_of(value)}"}}
                census.take(node, mine)
                plain.pods[node, uid_of(mine)] = mine
            case "leave", dict():
                mine = {**value, "metadata": {**value["metadata"], "uid": f"{node}-{uid_of(value)}"}}
                census.leave(node, mine)
                plain.pods.pop((node, uid_of(mine)), None)
            case "place", None:
                census.place(node, None)
                plain.placed.pop(node, None)
            case "place", (bool() as run, bool() as stay):
                census.place(node, (run, stay))
                plain.placed[node] = (run, stay)
            case "template", str():
                census.replace_template(value)
                plain.revision, plain.placed = value, {}
        assert census.sum == plain.count()
        assert {uid_of(p) for p in census.outdated()} == plain.outdated()
        assert {n for n in NODES if census.knows(n)} == set(plain.placed)

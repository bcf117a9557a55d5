"""What the canary was proven to run has come a second time, as the same.

Proves: after its first proof the same was loaded once more, by a reload or a reboot of ours, and is there: each version
of the hop, from a load that is newer than the first one. Every other gate of the judgement has judged the node after
that load too, and the kernel log since the first one.
Needs: a run that loads it again (it is why a run does, on the canary only), the node's files and its kernel log.
fail: it did not come back within the cluster's applySeconds, or as another version. inconclusive: nothing was loaded
anew, when it was loaded can't be told, a version can't be read, or a component that a load proves shows none.
Thresholds: none. `components` narrows it to hops that move one of them; `minutes` is what the plan counts for it.
A module that was built for another one's symbols fails only at the next load (gpu-operator #2868).
"""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.gate import judge, measure
from knowngood.gate.fixtures import readable
from knowngood.gate.packages import package_of
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState
from knowngood.planner.version import TEXT, runs


def test_it_came_a_second_time(
    node: str, states: Mapping[str, NodeState], expect: Mapping[str, str], judgement: JudgeRequest
) -> None:
    """The newest arrival is newer than the first, and each version is the wanted one."""
    state, first = states.get(node), judgement.first_loads.get(node)
    newest = state.newest if state else None
    measure(firstLoad=told(first), secondLoad=told(newest))
    came = state is not None and state.reachable and later(newest, first)
    if (why := judgement.not_again.get(node)) and not came:
        judge.fail(f"{why}; it had come once, at {first.monotonic if first else 0:.1f} s after boot")
    state = readable(state)
    if first is None or newest is None:
        judge.inconclusive("when it was loaded, the first time or the second, can't be told")
    if not came:
        judge.inconclusive(f"nothing was loaded since the first time, {first.monotonic:.1f} s after boot")
    own = judgement.moved or tuple(judgement.movers)
    movers = {c: how for c, how in judgement.movers.items() if c in own and c in expect}
    moved = [c for c, how in movers.items() if how.proof or c in state.marks]
    unread = [c for c in moved if not state.versions.get(c)]
    unproven = [c for c in moved if c not in state.marks and c not in unread]
    wrong, unknown = [], []
    for component in (c for c in moved if c not in unread):
        package, known = package_of(component, state.versions[component], judgement)
        if runs(judgement.schemes.get(component, TEXT), expect[component], package):
            continue
        if known:
            wrong.append(f"{component} is {package}, it was proven as {expect[component]}")
        else:
            unknown.append(f"{component} reports {package}, which no known package does")
    if wrong:
        judge.fail("; ".join(wrong))
    if unknown:
        judge.inconclusive("; ".join(unknown))
    if unread:
        judge.inconclusive(f"can't read {', '.join(unread)}")
    if unproven:
        judge.inconclusive(f"whether {', '.join(unproven)} was loaded on this boot can't be told")
    how = "a reload" if newest.boot_id == first.boot_id else "a reboot"
    judge.note(f"it came again by {how}, {newest.at:.1f} s after boot")


def later(newest: Mark | None, first: Window | None) -> bool:
    """Whether an arrival is a newer one than the first: later on the same boot, or on another."""
    if newest is None or first is None:
        return False
    return newest.boot_id != first.boot_id or newest.at > first.monotonic


def told(when: Mark | Window | None) -> dict[str, object]:
    """A moment as it is kept."""
    if when is None:
        return {}
    return {"bootId": when.boot_id, "seconds": when.at if isinstance(when, Mark) else when.monotonic}

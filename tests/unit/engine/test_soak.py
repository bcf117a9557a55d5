"""A soak counts the work that each node carried; an idle ring is normal: our own load fills up, and is gone after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.unit.engine.fake_cluster import FakeCluster
from tests.unit.engine.fakes import FakeLoad
from tests.unit.engine.scene import a_profile, a_world, an_engine
from tests.unit.engine.world import Killed, World

from knowngood.engine.engine import Engine
from knowngood.model.errors import Interrupted, Unreachable
from knowngood.model.hardware import Hardware
from knowngood.model.node import GpuUse
from knowngood.model.record import Record, Status
from knowngood.model.state import fold
from knowngood.ports.cancel import Cancel

SOAK = "hop-1/ring-0/soak"
WANTED = 0.1 * 8 * 10
"""GPU-seconds of a node in this scene: the default share of eight GPUs over ten seconds."""


def soaked(world: World, ring: str = "ring-0") -> Record:
    """The outcome of a ring's soak."""
    path = f"hop-1/{ring}/soak"
    return next(r for r in reversed(world.records) if r.step == path and r.status is not None)


def ended(world: World) -> str:
    end = fold(world.records).end
    return end.name if end else "open"


class Use(FakeCluster):
    """Tenants use what `seen` says, look by look; an error is raised; the last one stays."""

    def __init__(self, world: World, seen: Sequence[float | Exception]) -> None:
        super().__init__(world)
        self.seen = list(seen)

    def gpu_use(self, nodes: Sequence[str]) -> Mapping[str, GpuUse]:
        now = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        if isinstance(now, Exception):
            raise now
        return {n: GpuUse(now, now) for n in nodes}


def with_use(world: World, *seen: float | Exception) -> Engine:
    engine = an_engine(world)
    engine.ports = replace(engine.ports, cluster=Use(world, seen))
    return engine


def test_where_tenants_work_enough_nothing_of_ours_runs() -> None:
    world = a_world()
    an_engine(world).run()
    detail = soaked(world).detail
    assert ended(world) == "done"
    assert detail["synthetic_gpu_seconds"] == 0
    assert detail["tenants_gpu_seconds"] == pytest.approx(2 * 8 * 10, rel=0.1)
    assert not [m for m in world.moments if m.startswith("load")]


@pytest.mark.parametrize("idle", [{"gpu-1"}, {"gpu-1", "gpu-2"}, {f"gpu-{i}" for i in range(1, 7)}])
def test_an_idle_node_ring_or_cluster_is_normal_and_filled_up_by_our_own_load(idle: set[str]) -> None:
    world = a_world()
    world.idle = idle
    an_engine(world).run()
    detail = soaked(world).detail
    assert ended(world) == "done"
    assert set(detail["filled"]) == idle & {"gpu-1", "gpu-2"}
    assert detail["synthetic_gpu_seconds"] >= WANTED * len(detail["filled"])
    assert "a synthetic load of" in detail["why"]
    assert not world.load_on
    assert "load cleared" in world.moments


def test_work_at_the_last_instant_only_is_not_the_work_of_a_soak() -> None:
    """Twenty looks without work, then all GPUs at once: what a look at the end alone would have passed."""
    world = a_world()
    with_use(world, *[0.0] * 20, 8.0).run()
    assert soaked(world).detail["synthetic_gpu_seconds"] > 0


def test_work_between_two_looks_counts_only_as_far_as_both_saw_it() -> None:
    world = a_world()
    with_use(world, *[8.0, 0.0] * 400).run()
    assert soaked(world).detail["tenants_gpu_seconds"] == 0


def test_what_could_not_be_sampled_is_no_work_and_no_fail() -> None:
    world = a_world()
    away = Unreachable("the API server does not answer")
    looks: list[float | Exception] = [8.0, away] * 11
    with_use(world, *looks, 0.0).run()
    assert ended(world) == "done"
    assert soaked(world).detail["tenants_gpu_seconds"] == 0
    assert soaked(world).detail["synthetic_gpu_seconds"] >= 2 * WANTED


def test_a_little_work_is_topped_up_to_what_the_profile_asks() -> None:
    world = a_world()
    with_use(world, 0.4).run()
    detail = soaked(world).detail
    assert detail["tenants_gpu_seconds"] >= 2 * 0.4 * 10
    assert 0 < detail["synthetic_gpu_seconds"] < 2 * (WANTED - 4 + 8 * 0.5)


def test_our_load_takes_only_gpus_that_no_tenant_asks_for() -> None:
    world = a_world()
    asked: list[int] = []

    class Load(FakeLoad):
        def start(self, run: str, gpus: Mapping[str, int], seconds: float) -> None:
            asked.extend(gpus.values())
            super().start(run, gpus, seconds)

    class Waiting(FakeCluster):
        """Five GPUs are asked for by pods that are not ready."""

        def gpu_use(self, nodes: Sequence[str]) -> Mapping[str, GpuUse]:
            return {n: GpuUse(0.0, 5.0) for n in nodes}

    engine = an_engine(world)
    engine.ports = replace(engine.ports, cluster=Waiting(world), load=Load(world))
    engine.run()
    assert set(asked) == {3}


def test_a_profile_may_ask_for_no_work() -> None:
    world = a_world()
    world.idle = set(world.nodes)
    engine = an_engine(world)
    engine.hardware = Hardware((replace(a_profile(), soak_gpu_share=0.0),))
    engine.run()
    assert ended(world) == "done"
    assert not [m for m in world.moments if m.startswith("load")]


def test_a_load_that_finds_no_room_interrupts_and_never_speaks_against_the_release() -> None:
    world = a_world()
    world.idle, world.broken = {"gpu-1"}, {"no-room-gpu-1"}
    with pytest.raises(Interrupted, match=r"gpu-1 \(not scheduled\)"):
        an_engine(world).run()
    assert not world.load_on
    assert not world.failures
    assert not [r for r in world.records if r.status is Status.FAIL]
    world.broken = set()
    an_engine(world.revived()).run()
    assert ended(world) == "done"


@pytest.mark.parametrize("by", ["resume", "rollback", "abort --hold"])
@pytest.mark.parametrize("kill", [True, False])
def test_a_runner_that_is_stopped_while_our_load_runs_leaves_none_of_it(kill: bool, by: str) -> None:
    calm = a_world()
    calm.idle = {"gpu-1", "gpu-2"}
    an_engine(calm).run()
    world = a_world()
    world.idle = {"gpu-1", "gpu-2"}
    world.strike_at = calm.moments.index("load gpu-1")
    world.signal = None if kill else Cancel()
    engine = an_engine(world)
    if world.signal is not None:
        engine.cancel = world.signal
    with pytest.raises((Killed, Interrupted)):
        engine.run()
    assert bool(world.load_on) is kill  # nobody can clear after SIGKILL
    again = an_engine(world.revived())
    world.abort = {"resume": "", "rollback": "stop", "abort --hold": "hold"}[by]
    again.run()
    assert ended(world) == {"resume": "done", "rollback": "restored", "abort --hold": "held"}[by]
    assert not world.load_on

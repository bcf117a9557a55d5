"""Healthy clusters are noisy: two hundred clean upgrades among annotations, 429s and slow Git undo nobody."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.unit.engine.fake_cluster import FakeCluster, FakeDelivery
from tests.unit.engine.fake_git import FakeGitOps
from tests.unit.engine.scene import a_world, an_engine
from tests.unit.engine.test_trouble import AWAY, BUSY, LOGIN, TroubledNodes
from tests.unit.engine.world import NEW, World

from knowngood.engine.engine import Engine
from knowngood.model.errors import ExitCode, Interrupted
from knowngood.model.field import FieldChange
from knowngood.model.mover import Specs
from knowngood.model.node import NodeState
from knowngood.model.state import End, fold
from knowngood.ports.cancel import Cancel

RUNS = 200


class Noise:
    """When and as what trouble comes: at most a few times a run, one login that expires among them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 (which call is troubled; no secret)
        self.left = self.chance.randint(1, 4)
        self.login = 1

    def meet(self) -> None:
        if self.left and self.chance.random() < 0.15:
            self.left -= 1
            if self.login and self.chance.random() < 0.3:
                self.login -= 1
                raise LOGIN
            raise self.chance.choice((AWAY, BUSY))


class NoisyCluster(FakeCluster):
    """Others annotate nodes, a CPU node comes and goes, and the API server is busy now and then."""

    def __init__(self, world: World, noise: Noise) -> None:
        super().__init__(world)
        self.noise = noise

    def node_names(self) -> Mapping[str, str]:
        return {**super().node_names(), "cpu-1": "worker"}

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        self.noise.meet()
        return {n: self._noisy(n, specs) for n in nodes}

    def _noisy(self, name: str, specs: Specs) -> NodeState:
        beat = str(self.noise.chance.random())
        if name == "cpu-1":
            ready = self.noise.chance.random() < 0.7
            return NodeState(name, reachable=ready, ready=ready, annotations={"agent.example/beat": beat})
        seen = self._one(name, specs)
        return replace(seen, annotations={**seen.annotations, "agent.example/beat": beat})


class NoisyGit(FakeGitOps):
    noise: Noise

    def declare(self, changes: Sequence[FieldChange], subject: str, trailers: Mapping[str, str]) -> str:
        found = super().declare(changes, subject, trailers)
        self.noise.meet()  # the answer is lost after the push
        return found


class SlowDelivery(FakeDelivery):
    noise: Noise

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        self.world.clock += self.noise.chance.uniform(0, deadline / 2)
        if changes:
            self.noise.meet()
        return super().wait(commit, changes, deadline, cancel)


def noisy(world: World, noise: Noise) -> Engine:
    engine = an_engine(world)
    gitops, delivery, nodes = NoisyGit(world), SlowDelivery(world), TroubledNodes(world)
    gitops.noise = delivery.noise = noise
    nodes.once = noise  # type: ignore[assignment]
    cluster = NoisyCluster(world, noise)
    engine.ports = replace(engine.ports, gitops=gitops, delivery=delivery, nodes=nodes, cluster=cluster)
    return engine


@pytest.mark.parametrize("block", range(4))
def test_noise_undoes_nobody(block: int) -> None:
    """Each ends done, or is interrupted and ends done when it is resumed; no evidence against the release is left."""
    done = resumed = 0
    for seed in range(block * RUNS // 4, (block + 1) * RUNS // 4):
        world, noise, interrupted = a_world(), Noise(seed), 0
        end: End | None = None
        while end is None:
            try:
                end = noisy(world, noise).run().end
            except Interrupted:
                interrupted += 1
                assert interrupted < 8, f"seed {seed}: it never ends"
                end = fold(world.records).end
        if (
            end.name == "inconclusive"
        ):  # before the first change: nothing happened, and it may be started again
            assert {n.version for n in world.nodes.values()} != {NEW}, f"seed {seed}"
            assert world.history == [], f"seed {seed}"
            continue
        if end.name == "refused":
            assert end.exit_code is ExitCode.USAGE, f"seed {seed}: {end}"
            assert world.history == [], f"seed {seed}"
            continue
        assert end.name == "done", f"seed {seed}: {end}"
        assert not any(n.claim or n.cordoned for n in world.nodes.values()), f"seed {seed}"
        assert world.failures == {}, f"seed {seed}"
        assert not [c for c in world.commits if "Knowngood-Undoes" in c.trailers], f"seed {seed}"
        done, resumed = done + 1, resumed + bool(interrupted)
    assert done > RUNS // 4 * 0.6, f"only {done} of {RUNS // 4} came past their start: nothing was shown"
    assert resumed > 5, f"only {resumed} were interrupted and resumed: too little noise"

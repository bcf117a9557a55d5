"""A judge over the shipped gates beside a running twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.play import Play
from tests.movers import MOVERS

from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.matrix.load import load
from knowngood.matrix.locate import gates_dir
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.hardware import Hardware
from knowngood.model.verdict import Judgement
from knowngood.ports.cancel import Cancel


class Bench:
    """A twin, and a judge over the shipped gates. `release`: what its nodes run."""

    def __init__(self, play: Play, run: Path, release: str = "r580") -> None:
        matrix = load(play.stage.matrix)
        self.play = play
        self.cluster = matrix.clusters[play.cluster]
        self.profile = matrix.profiles[self.cluster.profile]
        self.release = matrix.releases[release]
        self.schemes = matrix.schemes
        self.movers = matrix.movers
        self.reported = matrix.reported
        self.kube = Kube(play.stage.kubeconfig)
        self.gates = PytestGates(
            self.cluster, Hardware((self.profile,)), self.release, play.stage.kubeconfig, run, gates_dir()
        )

    def windows(self, *nodes: str) -> dict[str, Window]:
        """Windows that open now."""
        seen = KubeCluster(self.kube, self.cluster).observe(nodes, MOVERS)
        return {n: Window(s.boot_id, s.uptime_seconds or 0.0, "") for n, s in seen.items()}

    def judge(
        self, *gates: str, nodes: tuple[str, ...], cancel: Cancel | None = None, **fields: Any
    ) -> Judgement:
        """Judge nodes against the release that they run."""
        values: dict[str, Any] = {
            "name": "judge",
            "run": "r1",
            "gates": gates,
            "nodes": nodes,
            "expect": dict.fromkeys(nodes, self.release.components),
            "windows": {},
            "deadline": 60.0,
            "schemes": self.schemes,
            "movers": self.movers,
        }
        return self.gates.judge(JudgeRequest(**{**values, **fields}), cancel or Cancel())

    def strike(self, fault: str, node: str, **params: str) -> None:
        """Inject a fault and wait until it has hit."""
        before = self._hits(fault)
        self.play.stage.fault(fault, node, params)
        waiting = Cancel()
        while self._hits(fault) == before:
            waiting.wait(0.1)

    def _hits(self, fault: str) -> int:
        return sum(e["event"] == "fault-hit" and e["fault"] == fault for e in self.play.events())

    def jobs(self) -> list[str]:
        """Our Jobs and their pods, by name."""
        found = [*self.kube.list(path("batch/v1", "jobs", "", "knowngood"))]
        found += self.kube.list(path("v1", "pods", "", "knowngood"))
        return [o["metadata"]["name"] for o in found]

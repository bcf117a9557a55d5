"""What `test_doctor` examines: a small twin, its administrator, and the runner's own kubeconfig."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.integration.bound import RUNNER
from tests.integration.play import Play

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.adapters.stage import commit_all
from knowngood.cli.commands.doctor import Doctor
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings
from knowngood.cli.wiring import Audience, Place, ports
from knowngood.engine.preflight import preflight
from knowngood.engine.steps import Step, Verb
from knowngood.engine.verbs import observe
from knowngood.engine.work import Done, Work
from knowngood.model.examination import Examination
from knowngood.model.jsonable import to_json
from knowngood.model.record import Record, RecordType, Status
from knowngood.model.state import RunState, after
from knowngood.model.steppath import StepPath
from knowngood.planner.plan.still import still
from knowngood.ports.cancel import Cancel

CLUSTER = "lab-small"
ROLES = "rbac.authorization.k8s.io/v1"


@dataclass(frozen=True)
class Ward:
    """The stage, whom it is administered by, and whom `doctor` and the run are there."""

    play: Play
    admin: Kube
    kubeconfig: Path

    @property
    def settings(self) -> Settings:
        stage = self.play.stage
        return Settings(matrix=stage.matrix, kubeconfig=self.kubeconfig, runs_dir=stage.runs)

    def examined(self, settings: Settings | None = None) -> Examination:
        settings = settings or self.settings
        return Doctor(settings, load(settings), CLUSTER, "", "").examined()

    def refused(self, folder: Path) -> Done:
        """What ends a run before its first commit: its first look, else its preflight."""
        source = load(self.settings)
        cluster = source.cluster(CLUSTER)
        hardware, plan = source.hardware(cluster), still(source.matrix, CLUSTER)
        place = Place(
            *(source.folder, source.matrix, cluster, hardware, None, self.kubeconfig, folder, "run-1")
        )
        with ports(place, Audience(), Cancel()) as opened:
            here = replace(opened, checkpoint=ReadOnly(opened.checkpoint))
            work = Work(here, plan, cluster, hardware, "run-1", "", RunState(), Cancel())
            looked = observe(work, Step(StepPath(Verb.OBSERVE), Verb.OBSERVE))
            if looked.status is not Status.OK:
                return looked
            seen = Record(
                0,
                RecordType.OUTCOME,
                "",
                StepPath(Verb.OBSERVE),
                Status.OK,
                to_json(looked.detail),
                looked.files,
            )
            ready = replace(work, state=after(RunState(), seen))
            return preflight(ready, Step(StepPath(Verb.PREFLIGHT), Verb.PREFLIGHT))

    @contextmanager
    def merged(self, where: str, patch: Mapping[str, Any], back: Mapping[str, Any]) -> Iterator[None]:
        """An object otherwise for a while; Argo CD does not heal it meanwhile."""
        self.admin.merge(where, dict(patch))
        yield
        self.admin.merge(where, dict(back))

    @contextmanager
    def made(self, where: str, obj: Mapping[str, Any]) -> Iterator[None]:
        """An object that is there for a while."""
        made = self.admin.create(where.rpartition("/")[0], dict(obj))
        yield
        self.admin.delete(where, uid=made["metadata"]["uid"])

    @contextmanager
    def gone(self, where: str) -> Iterator[None]:
        """An object that is not there for a while."""
        found = self.admin.get(where)
        self.admin.delete(where)
        yield
        kept = {k: v for k, v in found["metadata"].items() if k in ("name", "namespace", "labels")}
        self.admin.create(where.rpartition("/")[0], {**found, "metadata": kept})

    @contextmanager
    def without(self, kind: str, namespace: str, resource: str, verb: str) -> Iterator[None]:
        """One right less for the runner."""
        place = path(ROLES, kind, RUNNER, namespace)
        rules = self.admin.get(place)["rules"]
        fewer = [
            {**rule, "verbs": [v for v in rule["verbs"] if rule["resources"] != [resource] or v != verb]}
            for rule in rules
        ]
        assert rules != fewer
        with self.merged(place, {"rules": fewer}, {"rules": rules}):
            yield

    @contextmanager
    def cluster_file(self, old: str, new: str) -> Iterator[None]:
        """The cluster file otherwise, and committed."""
        file = self.play.stage.matrix / "clusters" / f"{CLUSTER}.yaml"
        text = file.read_text()
        assert old in text
        for each in (text.replace(old, new), text):
            file.write_text(each)
            commit_all(self.play.stage.matrix / ".git", self.play.stage.matrix, "main", "a change")
            if each is not text:
                yield


class ReadOnly(ConfigMapCheckpoint):
    """What the run would keep in the cluster is not: no run was begun."""

    def __init__(self, there: Any) -> None:
        self.__dict__.update(there.__dict__)

    def keep(self, run: str, name: str, data: bytes) -> None:
        """Nothing."""

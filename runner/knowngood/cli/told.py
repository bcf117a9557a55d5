"""What is told of a run: its records, and what the cluster says now where it can be asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from knowngood.adapters.cluster.reader import marks
from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.lease import LEASE_PATH, holding
from knowngood.cli import runs
from knowngood.cli.existing_run import Known
from knowngood.cli.options import Settings
from knowngood.cli.wiring import quick
from knowngood.model.claims import elsewhere
from knowngood.model.errors import KnowngoodError
from knowngood.model.marks import Marks
from knowngood.model.run_summary import RunSummary
from knowngood.report.disturbance import node_times
from knowngood.report.summary import expanded


def asked(run: Known) -> Known:
    """The run with what the nodes say now; as of the journal where they can't be asked, or the cluster is another."""
    found = marks_of(run.kubeconfig, run.run_id)
    if found is None or run.kubeconfig is None:
        return run
    nodes = node_times(run.state, run.plan.nodes, found)
    summary = replace(run.summary, nodes=nodes, asked=True, elsewhere=elsewhere(found, nodes))
    if not (run.local or summary.end or summary.interrupted):
        with suppress(KnowngoodError):
            summary = replace(summary, interrupted=_runner_gone(quick(run.kubeconfig), run.run_id))
    return replace(run, summary=summary)


def _runner_gone(kube: Kube, run: str) -> str:
    """Why a run of another machine does not go on, by the Lease; "" while it may."""
    lease = kube.find(LEASE_PATH)
    holder, renewed = holding(lease, datetime.now(UTC))
    if holder != run:
        return "its runner is gone: it holds no Lease"
    if renewed is False:
        last = str(((lease or {}).get("spec") or {}).get("renewTime"))
        return f"its runner is gone, or cut off: nobody has renewed its Lease since {last[:19]}Z"
    return ""


def marks_of(kubeconfig: Path | None, run: str) -> Mapping[str, Marks] | None:
    """What the nodes of a run's cluster carry; None where they can't be asked.

    A cluster that does not know the run is not the one it ran on: its nodes say nothing about it.
    """
    if kubeconfig is None:
        return None
    with suppress(KnowngoodError):
        kube = quick(kubeconfig)
        if any(known.run == run for known in ConfigMapCheckpoint(kube).runs()):
            return marks(kube)
    return None


def with_cluster(settings: Settings) -> Settings:
    """The settings with a cluster to ask: the given one, else that of the newest run here, else $KUBECONFIG's."""
    if settings.kubeconfig is not None:
        return settings
    named = ""
    with suppress(KnowngoodError):
        for folder in runs.all_runs(settings.runs)[:1]:
            with runs.reading(folder) as run:
                named = str(expanded(run.records[0], run.load).detail.get("kubeconfig", ""))
    named = named or os.environ.get("KUBECONFIG", "")
    return replace(settings, kubeconfig=Path(named)) if named else settings


def of_cluster(settings: Settings) -> tuple[RunSummary, ...]:
    """The runs that the cluster knows, newest first; none where no cluster is named. Unreachable and the like."""
    return ConfigMapCheckpoint(quick(settings.kubeconfig)).runs() if settings.kubeconfig else ()


def open_one(known: Sequence[RunSummary]) -> RunSummary | None:
    """The run that somebody must know of: the newest without an end, behind such as changed nothing.

    `known`: newest first. One that neither ended nor changed anything was killed at its start, and counts only as
    long as none came after it.
    """
    for index, run in enumerate(known):
        if not run.end and (run.changed or index == 0):
            return run
        if run.end and run.end not in ("refused", "inconclusive"):
            return None
    return None

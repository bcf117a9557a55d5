"""`knowngood rehearse`: your cluster file, your matrix, no hardware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from knowngood.cli import runs
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.play import advise, show
from knowngood.cli.staging import DEFAULT_SCALE, new_folder, staged, startable, upgrade
from knowngood.cli.terminal import say
from knowngood.model.errors import UsageError
from knowngood.model.matrix import Cluster, Release
from knowngood.model.values import Values
from knowngood.rehearsal.widen import described, widened
from knowngood.report.summary import Summary

FAULTS = {
    "xid-79": True,
    "xid-31-after-driver": True,
    "xid-119-after-driver": True,
    "driver-in-use": True,
    "validator-missing": True,
    "validator-not-run-again": True,
    "dma-buf-falls-back": True,
    "ib-link-flap": True,
    "node-stays-down": True,
    "node-reboots": True,
    "argo-sync-fails": False,
    "pdb-blocks-drain": True,
    "evict-429-halfway": True,
    "api-outage": False,
    "operands-left-paused": True,
    "module-not-reloaded": True,
    "stale-gfd-label": True,
    "journal-vacuumed": True,
    "application-stuck": False,
    "chart-image-is-missing": False,
    "stored-version-refuses": False,
    "webhook-has-no-backend": False,
    "operand-crashes": False,
    "operand-image-is-missing": False,
    "operand-not-followed": False,
    "olm-stale-subscription": False,
    "olm-orphan-csv": False,
    "olm-plan-carries-more": False,
    "olm-catalog-moves": False,
    "olm-succeeds-twice": False,
    "olm-install-times-out": False,
    "olm-crd-data-loss": False,
    "bundle-unpack-fails": False,
    "extension-not-adopted": False,
    "crd-safety-blocks": False,
    "extension-says-too-early": False,
    "catalog-lost-it": False,
    "mig-manager-wedges": True,
    "mig-layout-lost": True,
    "mig-success-is-old": True,
    "plugin-config-unseen": True,
    "plugin-config-crashes": True,
    "plugin-config-late": True,
    "mco-skips-cordoned": True,
    "mco-uncordons-quarantine": True,
    "sriov-unpauses-pool": True,
    "boot-takes-15-minutes": True,
    "kubelet-stays-away": True,
    "operator-degrades-halfway": False,
    "mhc-power-cycles": True,
    "nic-status-says-requested": True,
    "nic-burned-not-running": True,
    "nic-reboot-loop": True,
    "nic-reset-fails-reboots": True,
    "vfs-come-back-fewer": True,
    "sriov-offers-fewer": True,
    "sriov-drain-never-starts": True,
    "sriov-boot-loop": True,
    "foreign-job": True,
    "bmc-task-exception": True,
    "job-stuck-at-scheduled": True,
    "bios-staged-not-running": True,
    "bmc-burned-not-running": True,
    "bmc-does-not-come-back": True,
    "bmc-refuses-downgrade": True,
    "lifecycle-controller-busy": True,
    "idrac-goes-away": True,
    "job-reboot-pending": True,
    "reboots-by-itself": True,
    "reset-is-not-heeded": True,
    "mofed-wait-label-lies": True,
    "doca-dtk-mismatch": True,
    "rpcrdma-stays-out": True,
    "peermem-will-not-unload": True,
    "peermem-old-abi": True,
    "leaked-node": True,
    "operator-default-driver": False,
    "os-tag-of-one-node": False,
    "auto-picks-other-flavour": True,
    "host-process-has-gpu-open": True,
    "row-remap-pending": True,
    "row-remap-fails": True,
    "sram-errors": True,
    "ecc-switched-off": True,
    "pcie-downtrains": True,
    "thermal-slowdown": True,
    "nvlink-goes-down": True,
    "fabric-in-progress": True,
    "inforom-corrupted": True,
    "persistence-lost": True,
    "fails-at-second-load": True,
    "link-at-half-rate": True,
    "rail-at-half-rate": False,
    "port-loses-packets": True,
    "socket-transport": True,
    "fabric-tool-hangs": True,
    "talosctl-hangs": True,
    "talos-installer-refuses": True,
    "talos-image-without-driver": True,
    "talos-rolls-back": True,
    "talos-does-not-come-back": True,
    "talos-does-not-answer": True,
}
"""The twin's faults, and whether each needs a node; the twin itself is never imported.

Some need a part that not every cluster has: the twin says so, before anything is changed.
"""

OF_A_DRIVER = ("xid-31-after-driver", "xid-119-after-driver")
"""Faults that one version of the driver brings: here that of the release that is rehearsed."""
DRIVER = "nvidia-driver"


@click.command("rehearse")
@click.argument("cluster")
@click.option("--to", "release", metavar="RELEASE", required=True, help="The release to go to.")
@click.option(
    "--fault",
    "faults",
    metavar="NAME=NODE",
    multiple=True,
    help="Something that goes wrong; may be repeated. `knowngood twin fault add --help` lists the names.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("rehearsals"),
    show_default=True,
    help="A new folder in it keeps everything.",
)
@click.option(
    "--time-scale",
    type=click.FloatRange(1, 10_000),
    default=DEFAULT_SCALE,
    show_default=True,
    help="Divide durations by this; real processes keep their pace.",
)
@click.option(
    "--nodes",
    metavar="N",
    type=click.IntRange(1, 5000),
    help="Widen the cluster to N GPU nodes: more in the rings after the canary's.",
)
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    cluster: str,
    release: str,
    faults: tuple[str, ...],
    out: Path,
    time_scale: float,
    nodes: int | None,
    output: str,
) -> int:
    """Play an upgrade of your cluster file on the embedded cluster.

    The twin starts as your cluster file, profile and pinned release say, without what that release does not name; then
    `upgrade` runs on it, with copies of your matrix and of a GitOps repository. Nothing of yours is changed, and
    nothing here becomes evidence.

    \b
    Examples:
      knowngood rehearse ams-prod --to r595
      knowngood rehearse ams-prod --to r610 --fault xid-31-after-driver=gpu-1
      knowngood rehearse ams-prod --to r595 --nodes 50

    \b
    Exit codes: those of `upgrade`: 0 it would be done, 1 refused, 5 held or quarantined, 6 restored
    """
    source = load(settings)
    found = source.cluster(cluster)
    to = source.release(release)
    if nodes is not None:
        found = widened(found, nodes)
        say(f"{cluster} widened to {described(found)}", err=True)
    found = startable(source, found, release)
    wanted = [known(parsed(fault), found) for fault in faults]
    folder = new_folder(out)
    with staged(source, found, folder, time_scale) as stage:
        for name, node in wanted:
            stage.fault(name, node, params_of(name, to))
        summary = upgrade(stage, cluster, release)
        for name, node in never_came(stage.history(), wanted):
            say(
                f"{name} on {node} never happened in this run: it says nothing of what would follow", err=True
            )
    then = advice(summary, folder, settings.matrix)
    advise(stage.runs / summary.run, summary, then)
    runs.copy_reports(stage.runs / summary.run, folder)
    say(f"report: {folder / 'report.html'}", err=True)
    return show(summary, output, then)


def params_of(fault: str, to: Release) -> dict[str, str]:
    """What a fault must be told of the release that is rehearsed."""
    version = to.components.get(DRIVER, "")
    return {"version": version} if fault in OF_A_DRIVER and version else {}


def never_came(history: Values, wanted: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The faults of a node that took no effect there, by the twin's own record."""
    lived: Mapping[str, Values] = history.get("nodes") or {}
    return [(name, n) for name, n in wanted if n and name not in lived.get(n, {}).get("faults", ())]


def advice(summary: Summary, folder: Path, matrix: Path | None) -> tuple[str, ...]:
    """What to do after a rehearsal: everything happened in copies, so the real things stand where they stood."""
    aim = f"{summary.cluster} --to {summary.to_release}" + (f" --matrix {matrix}" if matrix else "")
    status = f"knowngood status {summary.run} --runs-dir {folder / 'runs'}"
    if summary.end != "done":
        return (
            f"read why in {folder / 'report.html'}; this was a rehearsal, nothing of yours was changed",
            status,
        )
    return (f"knowngood plan {aim}", f"knowngood upgrade {aim} --kubeconfig FILE", status)


def parsed(fault: str) -> tuple[str, str]:
    """NAME=NODE; the node may be empty for a fault of the whole cluster."""
    name, sign, node = fault.partition("=")
    if not name or not sign:
        raise UsageError(f"--fault {fault}: NAME=NODE is expected", hint="for example xid-79=gpu-1")
    return name, node


def known(fault: tuple[str, str], cluster: Cluster) -> tuple[str, str]:
    """The fault; UsageError where the twin would not know its name or its node."""
    name, node = fault
    if name not in FAULTS:
        raise UsageError(f"there is no fault {name!r}", hint=f"known: {', '.join(FAULTS)}")
    nodes = (*cluster.gpu, *cluster.cpu, *cluster.control_plane)
    if (node or FAULTS[name]) and node not in nodes:
        what = f"there is no node {node!r} in {cluster.name}" if node else f"fault {name} needs a node"
        raise UsageError(what, where=cluster.where, hint=f"known: {', '.join(nodes)}")
    return fault

"""`twin up`: the API server, the machines and the behaviours in one process, until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import shutil
import signal
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from knowngood.twin import crds, objects
from knowngood.twin.api.server import ApiServer
from knowngood.twin.behaviours.backend import Backend
from knowngood.twin.behaviours.cache import Cache
from knowngood.twin.behaviours.context import Api, Clock, Twin
from knowngood.twin.behaviours.faulty import Faults
from knowngood.twin.behaviours.kube import APPLICATION, BUDGET, NIC_CLUSTER_POLICY, POD_GROUP
from knowngood.twin.behaviours.kubelet import Kubelets
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.nodes import Machines
from knowngood.twin.behaviours.operands import gpu_program
from knowngood.twin.behaviours.recorder import Recorder
from knowngood.twin.behaviours.registry import played, spelled_out
from knowngood.twin.behaviours.settle import LOOKED_AT, unsettled
from knowngood.twin.client import Client, ClientError
from knowngood.twin.crds_health import health_crds
from knowngood.twin.crds_olm import olm_crds
from knowngood.twin.events import EventLog
from knowngood.twin.faults import FaultBook
from knowngood.twin.local import LocalClient
from knowngood.twin.seed import Seed
from knowngood.twin.world import World

log = logging.getLogger("twin")

SETTLE_S = 115.0
SETTLE_EACH_S = 0.5  # more for each node; a little less than who waits for us allows
SETTLE_POLL_S = 0.1
REASONS = 5  # that are told where a cluster does not settle
PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
LARGE = ("object", "request")
"""Of the audit's records: written only where asked for."""
COSTS = "costs.json"
OURS = ("nodes", "same", "pods", "argocd", "events.jsonl", "audit.jsonl", "seed.json", COSTS)


class TwinError(Exception):
    """The twin can't start or settle; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `on`: a kubeconfig to run the behaviours against, instead of an own API.

    `without`: names of controllers that are left out, so that real ones can take their place.
    `audit_objects`: the audit log also keeps what each write sent and what the object became.
    """

    seed: Seed
    state: Path
    kubeconfig: Path
    time_scale: float = 1.0
    port: int = 0
    on: Path | None = None
    without: tuple[str, ...] = ()
    audit_objects: bool = False


async def serve(options: Options) -> None:
    """Serve until INT or TERM."""
    # Millions of small dictionaries without circles live here: looking through them often finds nothing.
    gc.set_threshold(50_000, 20, 50)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    _clean(options.state)
    async with contextlib.AsyncExitStack() as stack:
        running = asyncio.create_task(start(options, stack))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return
        running.result()
        log.info("settled; kubeconfig is %s", options.kubeconfig)
        await stopping


async def start(options: Options, stack: contextlib.AsyncExitStack) -> Twin:
    """Start everything, wait until the cluster has settled, write the kubeconfig. The stack ends it all."""
    events = EventLog(options.state / "events.jsonl")
    stack.callback(events.close)
    audit = (options.state / "audit.jsonl").open("a", encoding="utf-8", buffering=1)
    stack.callback(audit.close)
    recorders: list[Recorder] = []

    def audited(record: dict[str, Any]) -> None:
        kept = {name: value for name, value in record.items() if options.audit_objects or name not in LARGE}
        audit.write(json.dumps(kept) + "\n")
        for recorder in recorders:
            recorder.audit(record)

    server: ApiServer | None = None
    if options.on is None:
        server = ApiServer(options.state, event_log=audited)
        for crd in crds_of(options.seed):
            server.install_crd(crd)
        for obj in objects.all_objects(options.seed):
            server.seed(obj)
        await server.start(options.port)
        stack.push_async_callback(server.stop)
        stack.callback(_write_costs, options.state / COSTS, server)
        client: Client = LocalClient(server, "twin")
        config = server.kubeconfig()
    else:
        config = yaml.safe_load(options.on.read_text(encoding="utf-8"))
        client = Client.from_kubeconfig(options.on, "twin")
    stack.push_async_callback(client.close)
    if options.on is not None:
        await _bring(client, options.seed)
    twin = _twin(options, client, events, server)
    stack.push_async_callback(twin.cache.stop)
    stack.push_async_callback(twin.stop)
    recorder = Recorder(twin)
    recorders.append(recorder)
    await _behave(twin, recorder, server)
    if options.without:  # who takes their place needs a way in before anything can settle
        _private(options.kubeconfig, config)
        log.info("without %s; kubeconfig is %s", ", ".join(sorted(twin.without)), options.kubeconfig)
    await _settle(twin, None if options.without else SETTLE_S + SETTLE_EACH_S * len(twin.seed.nodes))
    twin.clock.hurry = False
    events.write("settled")
    _private(options.kubeconfig, config)
    return twin


def _twin(options: Options, client: Client, events: EventLog, server: ApiServer | None) -> Twin:
    seed = options.seed
    cache = Cache(client)
    tag, build, _ = objects.operating_system(seed)
    served = {POD_GROUP}
    if seed.network_operator:
        served.add(NIC_CLUSTER_POLICY)
    if seed.gitops:
        served.add(APPLICATION)

    def set_outage(out: bool) -> None:
        assert server is not None  # noqa: S101 (only given where there is one)
        server.outage = out

    return Twin(
        seed=seed,
        client=client,
        cache=cache,
        api=Api(client, cache),
        clock=Clock(options.time_scale),
        world=World(seed, options.state, events, objects.os_release(seed)),
        events=events,
        faults=FaultBook(events),
        python_path=PACKAGE_PARENT,
        pods_dir=options.state / "pods",
        os=(tag, build),
        served=served,
        set_outage=set_outage if server else None,
        without=spelled_out(options.without),
    )


async def _behave(twin: Twin, recorder: Recorder, server: ApiServer | None) -> None:
    twin.world.boot()
    await twin.cache.ensure(BUDGET, *LOOKED_AT, *twin.served)
    kubelets = Kubelets(twin, gpu_program)
    lifecycle = None
    if NodeLifecycle.name not in twin.without:
        lifecycle = NodeLifecycle(twin)
        await lifecycle.start()
    machines = Machines(twin, kubelets, lifecycle)
    twin.reboot = machines.reboot
    twin.kubelet = Backend(kubelets)
    if server is not None:
        server.kubelet = twin.kubelet
    await recorder.start()
    await machines.start()
    await Faults(twin, kubelets, machines).start()
    await kubelets.start()
    for controller in played(twin.seed, twin.without | {NodeLifecycle.name}):
        await controller(twin).start()


def _write_costs(path: Path, server: ApiServer) -> None:
    """At the end: what was asked of the API server by whom, and what the twin itself used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    own = {"cpuSeconds": round(used.ru_utime + used.ru_stime, 1), "peakKiB": used.ru_maxrss}
    path.write_text(json.dumps({"api": server.tally.summary(), "twin": own}, indent=1) + "\n")


async def _settle(twin: Twin, patience: float | None) -> None:
    """Wait until the cluster is at rest; without patience as long as it takes."""
    try:
        async with asyncio.timeout(patience):
            while reasons := list(islice(unsettled(twin), REASONS)):
                await asyncio.sleep(SETTLE_POLL_S)
    except TimeoutError as error:
        raise TwinError(f"not settled after {patience:.0f} s: {'; '.join(reasons)}") from error


def crds_of(seed: Seed) -> list[dict[str, Any]]:
    """The definitions that this cluster serves from the start."""
    return [
        *crds.all_crds(openshift=bool(seed.openshift)),
        *(olm_crds() if seed.olm else ()),
        *(health_crds() if seed.health_checks else ()),
    ]


async def _bring(client: Client, seed: Seed) -> None:
    """Create definitions and objects on a cluster that is not ours; what is there already stays."""
    definitions = crds_of(seed)
    for obj in (*definitions, *objects.all_objects(seed)):
        for _ in range(50):
            try:
                made = await client.create({k: v for k, v in obj.items() if k != "status"})
                if "status" in obj and obj["kind"] != "Namespace":
                    await client.replace({**made, "status": obj["status"]}, subresource="status")
                break
            except ClientError as error:
                if error.code == 409:
                    break
                if error.code != 404:  # the kind is not served yet: its definition was made just now
                    raise
                await asyncio.sleep(0.1)
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


def _clean(state: Path) -> None:
    """A twin begins anew: what an earlier one left in the folder goes, nothing else."""
    state.mkdir(parents=True, exist_ok=True)
    for name in OURS:
        target = state / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _private(path: Path, config: dict[str, Any]) -> Path:
    """Write a kubeconfig, whole or not at all, for our eyes only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(
        os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        yaml.safe_dump(config, file)
    partial.replace(path)
    return path

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

import yaml

from knowngood.twin import crds, foreign, objects
from knowngood.twin.api.server import AUTHENTICATION, ApiServer
from knowngood.twin.behaviours.backend import Backend
from knowngood.twin.behaviours.cache import Cache
from knowngood.twin.behaviours.chart_apps import chart_program
from knowngood.twin.behaviours.context import Api, Clock, Twin
from knowngood.twin.behaviours.doca import nic_program
from knowngood.twin.behaviours.fabric import Fabric
from knowngood.twin.behaviours.faulty import Faults
from knowngood.twin.behaviours.heartbeats import Heartbeats
from knowngood.twin.behaviours.kube import APPLICATION, BUDGET, NIC_CLUSTER_POLICY, NIC_NODE_POLICY, POD_GROUP
from knowngood.twin.behaviours.kubelet import Kubelets, host_ip
from knowngood.twin.behaviours.meeting import TOOLS
from knowngood.twin.behaviours.network_operator import NetworkOperator
from knowngood.twin.behaviours.nic_admission import webhook
from knowngood.twin.behaviours.node_lifecycle import NodeLifecycle
from knowngood.twin.behaviours.nodes import Machines
from knowngood.twin.behaviours.operands import gpu_program
from knowngood.twin.behaviours.programs import Program
from knowngood.twin.behaviours.recorder import Recorder
from knowngood.twin.behaviours.registry import played, spelled_out
from knowngood.twin.behaviours.section_operands import operand_program
from knowngood.twin.behaviours.settle import LOOKED_AT, unsettled
from knowngood.twin.client import Client, ClientError
from knowngood.twin.crds_health import health_crds
from knowngood.twin.crds_nic import nic_crds
from knowngood.twin.crds_olm import olm_crds, olm_v1_crds
from knowngood.twin.crds_sriov import sriov_crds
from knowngood.twin.events import EventLog
from knowngood.twin.faults import FaultBook
from knowngood.twin.kubelet_server import KubeletServer
from knowngood.twin.local import LocalClient
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object
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
OURS = ("nodes", "same", "pods", TOOLS, "argocd", "events.jsonl", "audit.jsonl", "seed.json", COSTS)


class TwinError(Exception):
    """The twin can't start or settle; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `on`: a kubeconfig to run the behaviours against, instead of an own API.

    `kubelet_address`: where that one's API server can ask our nodes for exec, logs and journals; "" is nowhere.
    `without`: names of controllers that are left out, so that real ones can take their place.
    `audit_objects`: the audit log also keeps what each write sent and what the object became.
    """

    seed: Seed
    state: Path
    kubeconfig: Path
    time_scale: float = 1.0
    port: int = 0
    on: Path | None = None
    kubelet_address: str = ""
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

    def audited(record: Object) -> None:
        kept = {name: value for name, value in record.items() if options.audit_objects or name not in LARGE}
        audit.write(json.dumps(kept) + "\n")
        for recorder in recorders:
            recorder.audit(record)

    server: ApiServer | None = None
    kubelets: KubeletServer | None = None
    without = spelled_out(options.without)
    if options.on is None:
        server = await _serve(options, audited, stack)
        client: Client = LocalClient(server, "twin")
        config = server.kubeconfig()
    else:
        config = yaml.safe_load(options.on.read_text(encoding="utf-8"))
        client = _client_of(options.on, audited)
        owned, kubelets = await _settle_in(client, options, stack)
        without |= owned
    stack.push_async_callback(client.close)
    twin = _twin(options, client, events, server, without)
    stack.push_async_callback(twin.cache.stop)
    stack.push_async_callback(twin.stop)
    recorder = Recorder(twin)
    recorders.append(recorder)
    if server is not None:
        ask_webhooks(twin, server)
    await _behave(twin, recorder, server or kubelets)
    if options.without:  # who takes their place needs a way in before anything can settle
        _private(options.kubeconfig, config)
        log.info("without %s; kubeconfig is %s", ", ".join(sorted(twin.without)), options.kubeconfig)
    await _settle(twin, None if options.without else SETTLE_S + SETTLE_EACH_S * len(twin.seed.nodes))
    twin.clock.hurry = False
    events.write("settled")
    _private(options.kubeconfig, config)
    return twin


async def _serve(options: Options, audited: foreign.Audited, stack: contextlib.AsyncExitStack) -> ApiServer:
    """Start an API server that holds what the seed says."""
    server = ApiServer(options.state, event_log=audited)
    for crd in crds_of(options.seed):
        server.install_crd(crd)
    for obj in objects.all_objects(options.seed):
        server.seed(obj)
    server.catalogd.catalogs = options.seed.olm_v1.catalogs if options.seed.olm_v1 else {}
    await server.start(options.port)
    stack.push_async_callback(server.stop)
    stack.callback(_write_costs, options.state / COSTS, server)
    return server


def _client_of(kubeconfig: Path, audited: foreign.Audited) -> Client:
    client = foreign.AuditedClient.from_kubeconfig(kubeconfig, "twin")
    client.audited = audited
    return client


async def _settle_in(
    client: Client, options: Options, stack: contextlib.AsyncExitStack
) -> tuple[frozenset[str], KubeletServer | None]:
    """Bring what the seed says onto a cluster that is not ours.

    Return which controllers it has itself, and where its API server finds our nodes' kubelets.
    """
    seed, kubelets = options.seed, None
    if options.kubelet_address:
        kubelets = KubeletServer(options.kubelet_address, await _authority_of(client), options.state)
        stack.push_async_callback(kubelets.stop)
        await kubelets.start(node.name for node in seed.nodes if node.machine)
    ports = kubelets.ports if kubelets else {}
    await foreign.bring(client, crds_of(seed))
    await foreign.bring(
        client, (foreign.placed(obj, options.kubelet_address, ports) for obj in objects.all_objects(seed))
    )
    owned = await foreign.owned(client)
    log.info("the cluster itself has %s", ", ".join(sorted(owned)) or "no controller of ours")
    return owned, kubelets


async def _authority_of(client: Client) -> str:
    """Whose certificates the cluster's API server carries; without it everybody could ask our kubelets."""
    try:
        found = await client.get(("v1", "ConfigMap"), AUTHENTICATION, "kube-system")
        return str(found["data"]["client-ca-file"])
    except (ClientError, KeyError) as error:
        raise TwinError(
            f"--kubelet-address needs client-ca-file of ConfigMap kube-system/{AUTHENTICATION}: {error}"
        ) from error


def _twin(
    options: Options,
    client: Client,
    events: EventLog,
    server: ApiServer | None,
    without: frozenset[str] = frozenset(),
) -> Twin:
    seed = options.seed
    cache = Cache(client)
    tag, build, _ = objects.operating_system(seed.openshift)
    served = {POD_GROUP}
    if seed.network_operator:
        served |= {NIC_CLUSTER_POLICY, NIC_NODE_POLICY}
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
        world=World(seed, options.state, events, objects.first_release(seed)),
        events=events,
        faults=FaultBook(events),
        python_path=PACKAGE_PARENT,
        pods_dir=options.state / "pods",
        os=(tag, build),
        releases={seed.openshift},
        openshift=seed.openshift,
        served=served,
        set_outage=set_outage if server else None,
        without=without,
        host_ip=host_ip if server else lambda _node: options.kubelet_address,
    )


def special_program(twin: Twin, pod: Object) -> Program | None:
    """The program of an operator's pod; None for all others."""
    made = operand_program(twin, pod) or chart_program(twin, pod)
    return made or gpu_program(twin, pod) or nic_program(twin, pod)


def ask_webhooks(twin: Twin, server: ApiServer) -> None:
    """From now on the API server asks what operators of this cluster refuse."""
    if twin.seed.network_operator and NetworkOperator.name not in twin.without:
        for api_version, kind in (NIC_CLUSTER_POLICY, NIC_NODE_POLICY):
            server.ask(api_version, kind, webhook(twin.cache))


async def _behave(twin: Twin, recorder: Recorder, front: ApiServer | KubeletServer | None) -> None:
    """Start all that acts; `front`: where the nodes are asked for exec, logs and their journal."""
    twin.world.boot()
    await twin.cache.ensure(BUDGET, *LOOKED_AT, *twin.served)
    kubelets = Kubelets(twin, special_program)
    lifecycle = None
    if NodeLifecycle.name not in twin.without:
        lifecycle = NodeLifecycle(twin)
        await lifecycle.start()
    else:
        Heartbeats(twin).start()
    machines = Machines(twin, kubelets, lifecycle)
    twin.reboot = machines.reboot
    twin.kubelet = Backend(kubelets)
    if front is not None and twin.world.machines:  # else the nodes are another's, at the addresses they name
        front.kubelet = twin.kubelet
    await recorder.start()
    await machines.start()
    Fabric(twin)
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


def crds_of(seed: Seed) -> list[Object]:
    """The definitions that this cluster serves from the start."""
    return [
        *crds.all_crds(openshift=bool(seed.openshift)),
        *(olm_crds() if seed.olm else ()),
        *(olm_v1_crds() if seed.olm_v1 else ()),
        *(health_crds() if seed.health_checks else ()),
        *(nic_crds() if seed.nic_configuration else ()),
        *(sriov_crds() if seed.sriov else ()),
    ]


def _clean(state: Path) -> None:
    """A twin begins anew: what an earlier one left in the folder goes, nothing else."""
    state.mkdir(parents=True, exist_ok=True)
    for name in OURS:
        target = state / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _private(path: Path, config: Object) -> Path:
    """Write a kubeconfig, whole or not at all, for our eyes only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(
        os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        yaml.safe_dump(config, file)
    partial.replace(path)
    return path

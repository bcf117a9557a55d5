"""Documents that passed their schema, as values of `model.matrix`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from knowngood.matrix.documents import Document, Documents
from knowngood.matrix.edges import edges
from knowngood.matrix.stages import stages
from knowngood.model.alerts import Alertmanager
from knowngood.model.bmcs import Bmcs
from knowngood.model.declared import DeclaredBy, Scope
from knowngood.model.errors import Location
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import Application, GitOps, PullRequests
from knowngood.model.jsonable import from_json
from knowngood.model.matrix import (
    Case,
    Claim,
    Cluster,
    Component,
    Declaration,
    Disruption,
    Follows,
    Identity,
    Limits,
    Matrix,
    Profile,
    Release,
    ReleaseStatus,
    Ring,
    Rule,
    Severity,
    Tenant,
    UndoClass,
)
from knowngood.model.mover import (
    PLAIN,
    Again,
    Firmware,
    Hold,
    Instead,
    MoverSpec,
    NodeLabel,
    Pods,
    Proof,
    Seen,
    Shown,
    Starts,
    Words,
    Workload,
    completed,
)
from knowngood.model.parts import ComputeNics, Waiver
from knowngood.model.probe_pod import DRIVER_ROOT, PodNeeds, PodSite, PodStorage
from knowngood.model.pulling import Pulling
from knowngood.model.reading import Reading
from knowngood.model.source import Source
from knowngood.model.values import Values
from knowngood.planner.moving import VERSION

GPU_OPERATOR = "gpu-operator"
DEFAULT_NAMESPACES = {GPU_OPERATOR: "nvidia-gpu-operator", "network-operator": "nvidia-network-operator"}
"""Where the operators are whose pods are moved, unless a cluster file says otherwise."""


def matrix(documents: Documents, commit: str = "", *, dirty: bool = False) -> Matrix:
    """Every valid document as a value."""
    components = _completed({n: component(d) for n, d in documents.of("components").items()})
    return Matrix(
        components=components,
        releases={n: release(d) for n, d in documents.of("releases").items()},
        rules={n: rule(d) for n, d in documents.of("rules").items()},
        profiles={n: profile(d) for n, d in documents.of("profiles").items()},
        clusters={n: cluster(d) for n, d in documents.of("clusters").items()},
        stages=stages(documents.fleet),
        commit=commit,
        dirty=dirty,
        edges=edges(documents, components),
    )


def _completed(components: Mapping[str, Component]) -> dict[str, Component]:
    """With whole movers: one beside another that has none does not move, and `validate` says why."""
    specs = {n: c.mover for n, c in components.items() if c.mover is not None}
    known = {n for n, spec in specs.items() if spec.kind}
    movers = completed({n: spec for n, spec in specs.items() if n in known or spec.beside in known})
    return {n: replace(c, mover=movers.get(n)) for n, c in components.items()}


def component(document: Document) -> Component:
    """A component file's value."""
    v = document.value
    reports = dict(v.get("reports", {}))
    return Component(
        name=document.name,
        title=v["title"],
        scheme=v["scheme"],
        disruption=Disruption(v["disruption"]),
        undo=UndoClass(v["undo"]),
        sources=_sources(v),
        where=document.where,
        note=v.get("note", ""),
        judged_only=v.get("judgedOnly", False),
        procedure=v.get("procedure", ""),
        readings=tuple(_reading(r) for r in v.get("readings", ())),
        declared_by=tuple(_declared_by(d) for d in v.get("declaredBy", ())),
        moves_with=tuple(v.get("movesWith", ())),
        follows=Follows(v["follows"]["component"], dict(v["follows"]["versions"]))
        if "follows" in v
        else None,
        mover=_telling(mover(v["mover"], v["scheme"]), reports) if "mover" in v else None,
        reports=reports,
    )


def _telling(spec: MoverSpec, reports: Mapping[str, str]) -> MoverSpec:
    """The mover that knows what its module says, where that is another version than its package's."""
    files = next((one.files for one in spec.shows if one.version == VERSION), {})
    first = next(iter(files), "")
    told = tuple(Shown(version, {first: said}) for said, version in reports.items() if first)
    return replace(spec, shows=(*told, *spec.shows))


def mover(v: Values, scheme: str = "") -> MoverSpec:
    """A component file's mover; of one beside another only what is its own."""
    beside = v.get("with", "")
    return MoverSpec(
        kind="" if beside else v["class"],
        starts=Starts.RESTART if beside else Starts(v["starts"]),
        hold=Hold(v.get("hold", Hold.CORDON)),
        users=tuple(v.get("users", ())),
        fields={kind: dict(texts) for kind, texts in v.get("fields", {}).items()},
        values=dict(v.get("values", {})),
        pods=Pods(**v["pods"]) if "pods" in v else None,
        proof=Proof(**v["proof"]) if "proof" in v else None,
        words=Words(**v["words"]) if "words" in v else PLAIN,
        holds=tuple(v.get("holds", ())),
        require={kind: dict(texts) for kind, texts in v.get("require", {}).items()},
        settles=tuple(v.get("settles", ())),
        workloads=tuple(Workload(**one) for one in v.get("workloads", ())),
        order=v.get("order", 0),
        beside=beside,
        shows=tuple(Shown(s["version"], dict(s["files"])) for s in v.get("shows", ())),
        scheme=scheme,
        guards=tuple(v.get("guards", ())),
        again=Again(v["again"]) if "again" in v else None,
        label=_label(v["label"]) if "label" in v else None,
        delivers=v.get("delivers", False),
        firmware=Firmware(v["firmware"]) if "firmware" in v else None,
        instead={kind: Instead(o["class"], Starts(o["starts"])) for kind, o in v.get("instead", {}).items()},
        eases={kind: dict(texts) for kind, texts in v.get("eases", {}).items()},
    )


def _label(v: Values) -> NodeLabel:
    return NodeLabel(v["name"], Seen(v["seen"]), v["owner"], v.get("state", ""), v.get("none", ""))


def release(document: Document) -> Release:
    """A release file's value."""
    v = document.value
    return Release(
        name=document.name,
        status=ReleaseStatus(v["status"]),
        components=dict(v["components"]),
        profiles=tuple(v["profiles"]),
        where=document.where,
        reason=v.get("reason", ""),
        supersedes=v.get("supersedes", ""),
        lines={name: document.at("components", name).line or 1 for name in v["components"]},
        accepts=dict(v.get("accepts", {})),
    )


def rule(document: Document) -> Rule:
    """A rule file's value. A conflict's sources are those of its claims."""
    v = document.value
    claims = tuple(Claim(dict(c["require"]), _source(c["source"])) for c in v.get("claims", ()))
    return Rule(
        name=document.name,
        severity=Severity(v["severity"]),
        when=dict(v["when"]),
        require=dict(v.get("require", {})),
        message=v["message"],
        sources=(*_sources(v), *(claim.source for claim in claims)),
        where=document.where,
        traits={name: tuple(values) for name, values in v.get("traits", {}).items()},
        cases=tuple(Case(dict(c["when"]), dict(c["require"])) for c in v.get("cases", ())),
        claims=claims,
        decided=v.get("decided", ""),
        action=v.get("action", ""),
    )


def profile(document: Document) -> Profile:
    """A hardware profile file's value."""
    v = document.value
    return Profile(
        name=document.name,
        product=v["product"],
        gpus=v["gpus"],
        gpu_model=v["gpuModel"],
        gpu_pci_id=v["gpuPciId"],
        gpu_pci_addresses=tuple(v.get("gpuPciAddresses", ())),
        nvswitch=v["nvswitch"],
        nics=v["nics"],
        nic_model=v["nicModel"],
        rdma_mode=v["rdmaMode"],
        gates={name: dict(gate) for name, gate in v["gates"].items()},
        evidence_max_age_days=v.get("evidenceMaxAgeDays", 0),
        minutes_out={Disruption(name): minutes for name, minutes in v.get("minutesOut", {}).items()},
        mig=v.get("mig", False),
        vfs=v.get("vfs", False),
        optional_readings=tuple(v.get("optionalReadings", ())),
        soak_gpu_share=v.get("soakGpuShare", SOAK_GPU_SHARE),
        compute_nics=_compute_nics(v.get("computeNics", {})),
        probe=_needs(v.get("probe", {})),
        sources=_sources(v),
        where=document.where,
        traits={**v.get("traits", {}), "nvswitch": "true" if v["nvswitch"] else "false"},
        raw=v,
    )


def _compute_nics(v: Values) -> ComputeNics:
    pcie = v.get("pcie", {})
    return ComputeNics(
        pci_addresses=tuple(v.get("pciAddresses", ())),
        boards=tuple(v.get("boardIds", ())),
        link_layer=v.get("linkLayer", ""),
        ports=v.get("ports", 0),
        rate_gbps=float(v.get("rateGbps", 0)),
        pcie_gts=float(pcie.get("gtPerSecond", 0)),
        pcie_width=pcie.get("lanes", 0),
        firmware=dict(v.get("firmware", {})),
    )


def _needs(v: Values) -> PodNeeds:
    return PodNeeds(
        resources=dict(v.get("resources", {})),
        rdma=dict(v.get("rdmaResources", {})),
        networks=tuple(v.get("networks", ())),
        claims=tuple(v.get("claimTemplates", ())),
        cpus=v.get("cpus", 0),
        memory_mib=v.get("memoryMiB", 0),
        shm_mib=v.get("shmMiB", 0),
        tmp_mib=v.get("tmpMiB", 0),
    )


def _site(v: Values) -> PodSite:
    return PodSite(
        tolerations=tuple(v.get("tolerations", ())),
        pull_secrets=tuple(v.get("pullSecrets", ())),
        labels=dict(v.get("labels", {})),
        scheduler=v.get("schedulerName", ""),
        priority_class=v.get("priorityClassName", ""),
        runtime_class=v.get("runtimeClassName", ""),
        driver_root=v.get("driverRoot", DRIVER_ROOT),
        cuda=v.get("cuda", ""),
        storage=PodStorage(v["storageClass"], v.get("storageGiB", 10)) if "storageClass" in v else None,
    )


def cluster(document: Document) -> Cluster:
    """A cluster file's value."""
    lines = {
        node: document.at("nodes", role, index).line or 1
        for role, names in document.value["nodes"].items()
        for index, node in enumerate(names)
    }
    built = cluster_of(document.name, document.value, document.where)
    waivers = (replace(w, where=str(document.at("waivers", n, "part"))) for n, w in enumerate(built.waivers))
    return replace(built, lines=lines, waivers=tuple(waivers))


SOAK_GPU_SHARE = 0.1
RUNS_KEPT = "runsKept"
RUNS_KEPT_BY_DEFAULT = 10


def cluster_of(name: str, v: Values, where: Location) -> Cluster:
    """A cluster from a cluster file's JSON values."""
    nodes = v["nodes"]
    identity = v.get("identity")
    older = {GPU_OPERATOR: v["operatorNamespace"]} if "operatorNamespace" in v else {}
    namespaces = {**DEFAULT_NAMESPACES, **older, **v.get("namespaces", {})}
    return Cluster(
        name=name,
        profile="" if "pools" in v else v.get("profile", ""),
        pools={profile: tuple(nodes) for profile, nodes in v.get("pools", {}).items()},
        release=v["release"],
        control_plane=tuple(nodes.get("controlPlane", ())),
        cpu=tuple(nodes.get("cpu", ())),
        gpu=tuple(nodes["gpu"]),
        virtual=tuple(nodes.get("virtual", ())),
        rings=tuple(Ring(r["name"], tuple(r["nodes"]), r["batch"]) for r in v["rings"]),
        tenants=tuple(_tenant(t) for t in v["tenants"]),
        gitops=_gitops(v["gitops"]),
        declarations=tuple(_declaration(name, d) for name, d in v["declare"].items()),
        follows={n: Follows(f["component"], dict(f["versions"])) for n, f in v.get("follows", {}).items()},
        limits=limits(v.get("limits", {})),
        on_wave_failure=v.get("policy", {}).get("onWaveFailure", "hold"),
        where=where,
        operator_namespace=namespaces[GPU_OPERATOR],
        namespaces=namespaces,
        identity=Identity(identity["uid"], identity["ca"]) if identity else None,
        window_end=v.get("windowEnd", ""),
        probe_image=v.get("probeImage", ""),
        probe=_site(v.get("probe", {})),
        partners=tuple(v.get("probe", {}).get("partners", ())),
        evidence_max_age_days=v.get("evidenceMaxAgeDays", 0),
        waivers=tuple(Waiver(**w, where=where.file) for w in v.get("waivers", ())),
        alertmanager=Alertmanager.of(v.get("alertmanager", {})),
        bmcs=Bmcs.of(v.get("bmcs", {})),
        registry=Pulling.of(v.get("registry")),
        runs_kept=v.get("limits", {}).get(RUNS_KEPT, RUNS_KEPT_BY_DEFAULT),
        raw=v,
        traits=dict(v.get("traits", {})),
    )


def limits(values: Mapping[str, float]) -> Limits:
    """Limits from a file's keys: `operandAgeSeconds` is `operand_age`."""
    given = {
        _snake(key.removesuffix("Seconds")): float(seconds)
        for key, seconds in values.items()
        if key != RUNS_KEPT  # the only one that is no time
    }
    return replace(Limits(), **given)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda m: "_" + m.group().lower(), name)


def _sources(value: Values) -> tuple[Source, ...]:
    return tuple(_source(s) for s in value.get("sources", ()))


def _source(value: Values) -> Source:
    return Source(value["ref"], value.get("date", ""), value.get("verified", True))


def _reading(value: Values) -> Reading:
    return Reading(value["of"], value["via"], value["what"], value.get("verified", True))


def _declared_by(value: Values) -> DeclaredBy:
    scope = Scope(value["scope"])
    leaky, when = value.get("leaky", False), dict(value.get("when", {}))
    return DeclaredBy(value["kind"], scope, leaky, when, value.get("toRings", ""))


def _tenant(value: Values) -> Tenant:
    deadline = float(value["evictionDeadlineSeconds"])
    return Tenant(value["name"], tuple(value["namespaces"]), deadline, value.get("contact", ""))


def _gitops(value: Values) -> GitOps:
    applications = tuple(
        Application(
            a["name"], a["namespace"], a["path"], a.get("recurse", False), tuple(a.get("valueFiles", ()))
        )
        for a in value["applications"]
    )
    how = pull_requests(value)
    return GitOps(value["repo"], value["branch"], applications, value.get("credentials", ""), how)


def pull_requests(gitops: Values) -> PullRequests | None:
    """How a branch takes changes, by `gitops` of a cluster file; None where it takes pushes."""
    value = gitops.get("pullRequests")
    if value is None:
        return None
    how = PullRequests(tuple(value["open"]), tuple(value.get("merge", ())))
    return replace(how, wait=float(value.get("waitSeconds", how.wait)))


def _declaration(component_name: str, value: Values) -> Declaration:
    live = from_json(ObjectRef, value["object"])
    images, toolkits = (dict(value.get(key, {})) for key in ("images", "toolkits"))
    texts = {version: dict(fields) for version, fields in value.get("texts", {}).items()}
    where = value["file"], value["path"], live
    return Declaration(component_name, *where, images, toolkits, texts, written=value.get("written", ""))

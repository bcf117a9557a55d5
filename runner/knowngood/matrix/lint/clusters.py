"""Rules about cluster files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from knowngood.matrix.documents import Document
from knowngood.matrix.lint import pools as hardware
from knowngood.matrix.lint.pools import pools
from knowngood.matrix.lint.registry import Context, Finding, known_are, rule
from knowngood.model.matrix import Severity
from knowngood.model.plan import FLEET
from knowngood.planner.rules.evaluation import CLUSTER_TRAITS, Outcome, broken, traits_of
from knowngood.planner.rules.evaluation import Finding as RuleFinding

RuleMark = tuple[str, Outcome, str, str]
_PLACEHOLDER = re.compile(r"\{[^}]*\}")


def _clusters(context: Context) -> Iterator[Document]:
    yield from context.documents.of("clusters").values()


@rule("KG402", "A cluster is pinned to a known release that is meant for its profiles.")
def release_exists(context: Context) -> Iterator[Finding]:
    """The pin is where every plan starts."""
    known = context.documents.names("releases")
    profiles = context.documents.names("profiles")
    for document in _clusters(context):
        name = document.value["release"]
        release = context.matrix.releases.get(name)
        if name not in known:
            yield Finding(document.at("release"), f"there is no release {name!r}", known_are(known, name))
        for profile in pools(document) if release else ():
            if release and profile in profiles and profile not in release.profiles:
                message = f"{name} is meant for {', '.join(release.profiles)}, not for {profile}"
                yield Finding(document.at("release"), message, "pin a release that names this profile")


@rule("KG403", "A node has one role.")
def nodes_have_one_role(context: Context) -> Iterator[Finding]:
    """A control-plane node is never drained as a GPU node."""
    for document in _clusters(context):
        seen: dict[str, str] = {}
        for role, names in document.value["nodes"].items():
            for index, name in enumerate(names):
                if name in seen:
                    yield Finding(
                        document.at("nodes", role, index),
                        f"{name} is listed as {seen[name]} too",
                        "keep one role",
                    )
                seen.setdefault(name, role)


@rule("KG404", "A ring holds GPU nodes of this cluster only.")
def rings_hold_gpu_nodes(context: Context) -> Iterator[Finding]:
    """What is not a GPU node is never touched."""
    for document in _clusters(context):
        nodes = document.value["nodes"]
        for ring, index, name in _ring_nodes(document):
            if name in nodes["gpu"] or name in nodes.get("virtual", ()):
                continue
            role = next((role for role, names in nodes.items() if name in names), "")
            message = f"{name} is a {role} node" if role else f"there is no node {name!r} in this cluster"
            yield Finding(
                document.at("rings", ring, "nodes", index),
                message,
                "rings hold GPU nodes only" if role else known_are(nodes["gpu"], name),
            )


@rule("KG405", "A virtual node is in no ring.")
def virtual_nodes_stay_out(context: Context) -> Iterator[Finding]:
    """A Liqo node is somebody else's cluster."""
    for document in _clusters(context):
        virtual = document.value["nodes"].get("virtual", ())
        for ring, index, name in _ring_nodes(document):
            if name in virtual:
                yield Finding(
                    document.at("rings", ring, "nodes", index),
                    f"{name} is a virtual node, never a machine",
                    "take it out of the ring",
                )


@rule("KG406", "A node is in one ring.")
def nodes_are_in_one_ring(context: Context) -> Iterator[Finding]:
    """Two objects that select one node are an error to the GPU Operator."""
    for document in _clusters(context):
        seen: dict[str, str] = {}
        for ring, index, name in _ring_nodes(document):
            of = document.value["rings"][ring]["name"]
            if name in seen:
                yield Finding(
                    document.at("rings", ring, "nodes", index),
                    f"{name} is in {seen[name]} and in {of}",
                    "keep one",
                )
            seen.setdefault(name, of)


@rule("KG407", "Every GPU node is in a ring.")
def gpu_nodes_are_in_a_ring(context: Context) -> Iterator[Finding]:
    """A node outside all rings would stay on the old version for ever."""
    for document in _clusters(context):
        ringed = {name for _, _, name in _ring_nodes(document)}
        for index, name in enumerate(document.value["nodes"]["gpu"]):
            if name not in ringed:
                yield Finding(document.at("nodes", "gpu", index), f"{name} is in no ring", "add it to a ring")


@rule("KG408", "Ring names differ, and a batch is no larger than its ring.")
def rings_are_sound(context: Context) -> Iterator[Finding]:
    """A ring's name is a node label and a file name."""
    for document in _clusters(context):
        rings = document.value["rings"]
        count = Counter(r["name"] for r in rings)
        for index, ring in enumerate(rings):
            if count[ring["name"]] > 1 and index > 0:
                yield Finding(
                    document.at("rings", index, "name"), f"two rings are named {ring['name']!r}", "rename"
                )
            if ring["name"] == FLEET:
                message = f"{FLEET} is what a hop's part for all nodes is called"
                yield Finding(document.at("rings", index, "name"), message, "rename the ring")
            if ring["batch"] > len(ring["nodes"]):
                message = f"a batch of {ring['batch']} in a ring of {len(ring['nodes'])}"
                yield Finding(document.at("rings", index, "batch"), message, "lower `batch`")


@rule("KG409", "`declare` names known components.")
def declared_components_exist(context: Context) -> Iterator[Finding]:
    """What is declared must be something that releases name."""
    known = context.documents.names("components")
    for document in _clusters(context):
        for name in document.value["declare"]:
            if name not in known:
                yield Finding(
                    document.at_key("declare", name),
                    f"there is no component {name!r}",
                    known_are(known, name),
                )


@rule(
    "KG433",
    "What follows an operator is a known component that Git does not declare; the operator is declared.",
)
def followers_have_a_leader(context: Context) -> Iterator[Finding]:
    """It moves with the operator, and only so."""
    known = context.documents.names("components")
    for document in _clusters(context):
        declared = document.value["declare"]
        for name, one in document.value.get("follows", {}).items():
            at, leader = document.at_key("follows", name), one["component"]
            if unknown := [n for n in (name, leader) if n not in known]:
                yield Finding(at, f"there is no component {unknown[0]!r}", known_are(known, unknown[0]))
            elif name in declared:
                yield Finding(at, f"Git declares {name}, so it follows nobody", "drop one of the two")
            elif leader not in declared:
                message = f"{name} follows {leader}, and nothing says where Git declares that"
                yield Finding(at, message, f"name {leader} under declare")


@rule("KG410", "`{ring}` is the only placeholder; what stands by ring is an object a ring.")
def placeholders_agree(context: Context) -> Iterator[Finding]:
    """Else two rings would edit one object."""
    for document in _clusters(context):
        for name, declared in document.value["declare"].items():
            texts = {"file": declared["file"], "object": " ".join(declared["object"].values())}
            for part, text in texts.items():
                unknown = set(_PLACEHOLDER.findall(text)) - {"{ring}"}
                if unknown:
                    message = f"{', '.join(sorted(unknown))} is no placeholder; there is only {{ring}}"
                    yield Finding(document.at("declare", name, part), message, "write {ring}")
            by_ring = "{ring}" in declared["file"] or "{ring}" in declared.get("written", "")
            if by_ring and "{ring}" not in declared["object"]["name"]:
                message = "{ring} stands in where it is written, and not in object.name"
                yield Finding(document.at("declare", name, "file"), message, "one object a ring")


@rule("KG428", "`texts` of a declaration says the same fields of each version.")
def texts_say_the_same_fields(context: Context) -> Iterator[Finding]:
    """What one version writes and another leaves alone could not be taken back."""
    for document in _clusters(context):
        for name, declared in document.value["declare"].items():
            of = {version: set(fields) for version, fields in declared.get("texts", {}).items()}
            every = set().union(*of.values())
            for version, fields in of.items():
                if missing := every - fields:
                    message = f"{version} says nothing of {', '.join(sorted(missing))}"
                    yield Finding(document.at("declare", name, "texts", version), message, "say it, too")


@rule("KG411", "A declared file is in the repository.")
def files_are_in_the_repository(context: Context) -> Iterator[Finding]:
    """What lies elsewhere is never read, and never written."""
    for document, name, file in _declared_files(context):
        if ".." in PurePosixPath(file).parts:
            where = document.at("declare", name, "file")
            yield Finding(where, "`..` leads out of the repository", "remove it")


@rule("KG427", "A declared file lies in the folder of one of the cluster's Applications.", severity="warning")
def files_are_read_by_argo(context: Context) -> Iterator[Finding]:
    """Else it must be a base that a kustomization there reads, or values of a chart; `doctor` and every push look."""
    for document, name, file in _declared_files(context):
        folders = [a["path"].strip("/") or "." for a in document.value["gitops"]["applications"]]
        if not any(PurePosixPath(file).is_relative_to(folder) for folder in folders):
            message = f"{file} lies in the folder of no Application, so a kustomization or a chart there must read it"
            hint = "see gitops.applications; is it such a base, `doctor` shows who reads it"
            yield Finding(document.at("declare", name, "file"), message, hint)


def _declared_files(context: Context) -> Iterator[tuple[Document, str, str]]:
    for document in _clusters(context):
        for name, declared in document.value["declare"].items():
            yield document, name, declared["file"]


@rule("KG412", "A namespace belongs to one tenant, and tenants' names differ.")
def tenants_do_not_overlap(context: Context) -> Iterator[Finding]:
    """Disturbance is counted by tenant."""
    for document in _clusters(context):
        owners: dict[str, str] = {}
        names: set[str] = set()
        for index, tenant in enumerate(document.value.get("tenants", ())):
            if tenant["name"] in names:
                message = f"two tenants are named {tenant['name']!r}"
                yield Finding(document.at("tenants", index, "name"), message, "rename one")
            names.add(tenant["name"])
            for place, namespace in enumerate(tenant["namespaces"]):
                if namespace in owners:
                    yield Finding(
                        document.at("tenants", index, "namespaces", place),
                        f"the namespace {namespace} belongs to {owners[namespace]} already",
                        "a namespace has one tenant",
                    )
                owners.setdefault(namespace, tenant["name"])


@rule("KG413", "The repository's URL carries no user name and no password.")
def no_secret_in_url(context: Context) -> Iterator[Finding]:
    """Credentials are references: gitops.credentials."""
    for document in _clusters(context):
        where = document.at("gitops", "repo")
        try:
            url = urlsplit(document.value["gitops"]["repo"])
        except ValueError as error:
            yield Finding(where, f"this is no URL: {error}", "write it as git would take it")
            continue
        if url.password or (url.username and url.scheme != "ssh"):
            hint = "remove them and name a reference in gitops.credentials (env:NAME or file:PATH)"
            yield Finding(where, "the URL carries credentials", hint)


@rule("KG414", "A workload's pod fits into one machine.")
def workloads_fit(context: Context) -> Iterator[Finding]:
    """It would stay Pending in every rehearsal."""
    for document in _clusters(context):
        known = [p for name in pools(document) if (p := context.matrix.profiles.get(name))]
        largest = max((p.gpus for p in known), default=None)
        for tenant, entry in enumerate(document.value.get("tenants", ())):
            for index, work in enumerate(entry.get("workloads", ())):
                at = document.at("tenants", tenant, "workloads", index)
                if largest is not None and work["gpusPerPod"] > largest:
                    message = f"{work['name']} asks for {work['gpusPerPod']} GPUs, a machine has {largest}"
                    yield Finding(at, message, "ask for less")
                if work.get("minAvailable", 0) > work["replicas"]:
                    message = f"{work['name']} keeps {work['minAvailable']} of {work['replicas']} pods"
                    yield Finding(at, message, "lower minAvailable")


@rule("KG415", "A budget leaves room for a drain.", severity="warning")
def budgets_leave_room(context: Context) -> Iterator[Finding]:
    """minAvailable equal to replicas blocks every eviction for ever."""
    for document in _clusters(context):
        for tenant, entry in enumerate(document.value.get("tenants", ())):
            for index, work in enumerate(entry.get("workloads", ())):
                if work["kind"] == "Deployment" and work.get("minAvailable") == work["replicas"]:
                    message = f"the budget of {work['name']} never lets a pod go"
                    yield Finding(
                        document.at("tenants", tenant, "workloads", index), message, "lower minAvailable"
                    )


@rule("KG416", "`windowEnd` is a time that exists.")
def window_end_is_a_time(context: Context) -> Iterator[Finding]:
    """The pattern alone lets a 31st of February pass."""
    for document in _clusters(context):
        if "windowEnd" in document.value:
            try:
                datetime.fromisoformat(document.value["windowEnd"])
            except ValueError as error:
                yield Finding(
                    document.at("windowEnd"), f"windowEnd: {error}", "RFC 3339, with an offset or Z"
                )


@rule(
    "KG417",
    "The release that a cluster is pinned to keeps the blocking compatibility rules on that cluster.",
    severity="warning",
)
def pinned_release_fits(context: Context) -> Iterator[Finding]:
    """It runs all the same: `exposure` says since when, `plan` the way out. An error would close both."""
    told = {
        (j.document.name, j.finding.rule.name) for j in context.judged if j.finding.outcome is Outcome.BROKEN
    }
    for document, release, _, finding in _on_clusters(context):
        if broken([finding], Severity.BLOCK) and (release, finding.rule.name) not in told:
            yield Finding(
                document.at("release"), finding.sentence(), "move the cluster to a release that fits it"
            )


@rule(
    "KG418",
    "A cluster says each trait that only a cluster has and that its release's rules ask about.",
    severity="warning",
)
def traits_are_said(context: Context) -> Iterator[Finding]:
    """A rule that can't be told is not kept."""
    for document, _, profile, finding in _on_clusters(context):
        unknown = finding.outcome is Outcome.UNKNOWN and finding.rule.severity is not Severity.INFO
        if unknown and finding.component in CLUSTER_TRAITS:  # a profile's own are KG206's
            hint = f"say {finding.component} in `traits` of the cluster"
            yield Finding(hardware.place(document, profile), finding.sentence(), hint)


def _on_clusters(context: Context) -> Iterator[tuple[Document, str, str, RuleFinding]]:
    """What the rules say about each cluster's pinned release, with its own traits: once, by the first such pool."""
    matrix = context.matrix
    for document in _clusters(context):
        cluster = matrix.clusters[document.name]
        release, said = matrix.releases.get(cluster.release), set[RuleMark]()
        for name in pools(document) if release else ():
            profile = matrix.profiles.get(name)
            if release is None or profile is None:
                continue
            for finding in context.judge.findings(release.components, traits_of(profile, cluster)):
                mark = (finding.rule.name, finding.outcome, finding.component, finding.required)
                if mark not in said:
                    yield document, release.name, name, finding
                said.add(mark)


def _ring_nodes(document: Document) -> Iterator[tuple[int, int, str]]:
    """Ring's index, node's index and name."""
    for ring, value in enumerate(document.value["rings"]):
        for index, name in enumerate(value["nodes"]):
            yield ring, index, name

"""Whether an Argo CD Application would bring a commit to the cluster by itself, by its spec and status. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.values import Values

ENDED_BADLY = frozenset({"Failed", "Error"})
SKIPPED = "argocd.argoproj.io/skip-reconcile"
TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE_LABELS = ("argocd.argoproj.io/instance", "app.kubernetes.io/instance")
APPLICATION_SET = "ApplicationSet"
SHOWN = 5  # resources that a finding names


def against_delivering(application: Values) -> Iterator[Finding]:
    """Why it would not, or not only, do what a run needs; nothing where it would."""
    spec, status = application.get("spec") or {}, application.get("status") or {}
    metadata = application["metadata"]
    where = f"Application {metadata['name']}"
    if metadata.get("deletionTimestamp"):
        yield refused(where, "it is being deleted", "find out who deletes it, before its resources go")
    if (metadata.get("annotations") or {}).get(SKIPPED) == "true":
        yield refused(
            where, f"annotation {SKIPPED} stops Argo CD from looking at it", "take the annotation off"
        )
    if spec.get("sourceHydrator"):
        what = "it has a source hydrator: the revision that it syncs is never the commit that we push"
        yield refused(where, what, "declare the cluster where Argo CD reads the branch itself")
    automated = (spec.get("syncPolicy") or {}).get("automated")
    if automated is None or automated.get("enabled") is False:
        yield refused(where, "automatic sync is off", "switch it on: the way back needs it, too")
    yield from _by_status(where, status)


def _by_status(where: str, status: Values) -> Iterator[Finding]:
    operation = status.get("operationState") or {}
    if operation.get("phase") in ENDED_BADLY:
        what = f"the last sync {operation['phase']}: {operation.get('message', '')}"
        yield refused(where, what, "mend it and sync once by hand")
    errors = [c for c in status.get("conditions") or () if str(c.get("type", "")).endswith("Error")]
    for condition in errors:
        yield refused(where, f"{condition['type']}: {condition.get('message', '')}", "mend what it names")
    resources = status.get("resources") or ()
    if any(r.get("kind") == "Node" and not r.get("group") for r in resources):
        yield refused(
            where,
            "it manages Nodes and would take our cordon and taint off again",
            "take the Nodes out of it",
        )
    sync = str((status.get("sync") or {}).get("status") or "")
    if sync == "OutOfSync":
        named = [_resource(r) for r in resources if r.get("status") == "OutOfSync"]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        what = f"it is OutOfSync: {', '.join(named[:SHOWN]) or 'it names no resource'}{more}"
        yield refused(where, what, "sync it, or find out why it can't be", passes=True)
    elif sync != "Synced" and not errors:
        what = f"whether it is synced is not known ({sync or 'no status'})"
        yield unknown(where, what, "see Argo CD's application controller", passes=True)


def _resource(entry: Values) -> str:
    place = f"{entry['namespace']}/" if entry.get("namespace") else ""
    gone = " (to be pruned)" if entry.get("requiresPruning") else ""
    return f"{entry.get('kind')} {place}{entry.get('name')}{gone}"


def parents_of(application: Values) -> tuple[str, ...]:
    """Names of the Applications that may manage this one; a label may mean something else, so each may be missing."""
    metadata = application["metadata"]
    tracked = str((metadata.get("annotations") or {}).get(TRACKING) or "").partition(":")[0]
    # Where Applications live in several namespaces the tracking id begins with <namespace>_<name>.
    labels = metadata.get("labels") or {}
    names = [tracked.rpartition("_")[2], *(str(labels.get(key) or "") for key in INSTANCE_LABELS)]
    return tuple(dict.fromkeys(name for name in names if name and name != metadata["name"]))


def set_of(application: Values) -> str:
    """The ApplicationSet that made it, "" where none did."""
    owners = application["metadata"].get("ownerReferences") or ()
    return next((str(o.get("name")) for o in owners if o.get("kind") == APPLICATION_SET), "")


def against_set(found: Values) -> Iterator[Finding]:
    """Why an ApplicationSet may take the Application away, or write it anew, while a run goes on."""
    where = f"{APPLICATION_SET} {found['metadata']['name']}"
    if found["metadata"].get("deletionTimestamp"):
        yield refused(where, "it is being deleted, with its Applications", "find out who deletes it")
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ErrorOccurred" and condition.get("status") == "True":
            yield refused(
                where, f"ErrorOccurred: {condition.get('message', '')}", "mend what it names", passes=True
            )

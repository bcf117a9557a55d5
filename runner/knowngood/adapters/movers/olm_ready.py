"""Why an operator of OLM v0 could not move now, or could not come back later: asked before anything is committed."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.adapters.cluster.reader import live_value
from knowngood.adapters.kubernetes.client import Object, path
from knowngood.adapters.movers.olm_operator import (
    SUCCEEDED,
    UNPACK,
    Operator,
    is_approved,
    name_of,
    named,
    names_in,
    phase_of,
    status_of,
    troubles,
)
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Moving
from knowngood.planner.moving import CHANNEL, SUBSCRIPTION, shown
from knowngood.planner.readiness.required import unmet


def forth(operator: Operator, moving: Moving, cluster: Cluster) -> Iterator[Finding]:
    """What stands in the way of the version that is asked for."""
    sub = operator.subscription()
    if sub is None:
        yield _missing(operator)
        return
    yield from unmet(str(operator), sub, moving.spec.require.get(SUBSCRIPTION, {}))
    for kind, said in troubles(sub).items():
        hint = "mirror the bundle's image" if kind == UNPACK else "mend what it names"
        yield refused(str(operator), said, hint, passes=True)
    yield from _installed(operator, named(moving.spec, moving.before))
    yield from _offered(operator, sub, moving, "can't be installed")
    if moving.reinstall:
        yield from _removable(operator, moving, cluster)
    else:
        yield from _pending(operator, sub, named(moving.spec, moving.after))
    yield from _pinned(operator, moving, cluster)


def back(operator: Operator, moving: Moving, cluster: Cluster) -> Iterator[Finding]:
    """What would stand in the way of the version before, which `moving` leads to."""
    sub = operator.subscription()
    if sub is None:
        yield _missing(operator)
        return
    yield from _offered(operator, sub, moving, "could not be brought back")
    yield from _removable(operator, moving, cluster)


def _removable(operator: Operator, moving: Moving, cluster: Cluster) -> Iterator[Finding]:
    """Version and Subscription can be deleted: nothing of its kinds goes along, and Argo CD makes it anew."""
    for csv in operator.versions():
        if (csv["spec"].get("cleanup") or {}).get("enabled"):
            what = "spec.cleanup is enabled: with it every object of its kinds would be deleted"
            yield refused(f"ClusterServiceVersion {name_of(csv)}", what, "switch it off before it moves")
    files = [d.file for d in cluster.declarations if d.component == moving.component]
    for application in cluster.gitops.reading(files):
        where = path("argoproj.io/v1alpha1", "applications", application.name, application.namespace)
        yield from _heals(application.name, operator.kube.find(where))


def _heals(name: str, application: Object | None) -> Iterator[Finding]:
    """Without self-heal a Subscription that we delete is not made anew."""
    policy = ((application or {}).get("spec") or {}).get("syncPolicy") or {}
    if application and not (policy.get("automated") or {}).get("selfHeal"):
        what = "self-heal is off: it would not make a deleted Subscription anew, which the way back needs"
        yield refused(f"Application {name}", what, "set spec.syncPolicy.automated.selfHeal")


def _missing(operator: Operator) -> Finding:
    return refused(str(operator), "there is none on this cluster", "see the cluster file's declare")


def _installed(operator: Operator, wanted: str) -> Iterator[Finding]:
    """The version before must have succeeded, alone: OLM updates from nothing else."""
    found = {name_of(csv): phase_of(csv) for csv in operator.versions()}
    if found == {wanted: SUCCEEDED}:
        return
    there = ", ".join(f"{name} is {phase or 'new'}" for name, phase in sorted(found.items()))
    hint = "wait until OLM is done, or plan again"
    yield refused(
        str(operator), f"{there or 'nothing is installed'}, the plan starts from {wanted}", hint, passes=True
    )


def _offered(operator: Operator, sub: Object, moving: Moving, effect: str) -> Iterator[Finding]:
    """The catalog must hold the version in the channel that Git will name."""
    target = named(moving.spec, moving.after)
    channel = shown(moving.spec, SUBSCRIPTION, moving.after).get(CHANNEL) or sub["spec"]["channel"]
    where = f"CatalogSource {sub['spec']['sourceNamespace']}/{sub['spec']['source']}"
    offered = operator.offered(sub)
    if not offered:
        what = f"it offers no package {sub['spec']['name']}, so {target} {effect}"
        yield unknown(where, what, "see its status.connectionState and its pod", passes=True)
    elif channel not in offered:
        what = f"it has no channel {channel} of {sub['spec']['name']}, so {target} {effect}"
        yield refused(where, what, f"it has {', '.join(sorted(offered))}: mirror the channel")
    elif target not in offered[channel]:
        yield refused(
            where,
            f"channel {channel} does not hold {target}, which {effect}",
            "mirror the bundle, or point it at an older index",
        )


def _pending(operator: Operator, sub: Object, target: str) -> Iterator[Finding]:
    """Plans that wait already: OLM makes no other for that Subscription, and takes what waits for others along."""
    plan = operator.plan(sub)
    if plan and not is_approved(plan) and {*names_in(plan)} != {target}:
        what = f"InstallPlan {name_of(plan)} waits with {', '.join(names_in(plan))}, so OLM makes none for {target}"
        hint = "approve it as a move of its own, or go by way of what it carries; never delete it"
        yield refused(str(operator), what, hint)
    for other in operator.others():
        if status_of(other).get("state") == "UpgradePending":
            what = f"it waits with {status_of(other).get('currentCSV')}, which OLM would put into our plan"
            where = f"{SUBSCRIPTION} {operator.at.namespace}/{name_of(other)}"
            yield refused(where, what, "approve or move it first")


def _pinned(operator: Operator, moving: Moving, cluster: Cluster) -> Iterator[Finding]:
    """What the new operator templates anew must name its version in Git, or its default comes along."""
    for declaration in cluster.declarations:
        if declaration.component not in moving.spec.settles:
            continue
        rings = [r.name for r in cluster.rings] if "{ring}" in declaration.object.name else [""]
        for ring in rings:
            field = declaration.of_ring(ring)
            if not live_value(operator.kube, field):
                what = f"{field.path} is not set: {declaration.component} would follow the operator's default"
                yield refused(str(field.object), what, "name the version in Git first")

"""What a run needs of a cluster beside rights and drivers: the Lease, one time of day, and a place for its probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from knowngood.adapters.kubernetes.client import ApiError, Kube, path
from knowngood.adapters.kubernetes.lease import LEASE_PATH, holding
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster
from knowngood.model.names import LEASE, NAMESPACE, PROBE_ACCOUNT

SKEW = 30.0
"""Seconds between this machine's clock and the API server's. Waits go by a clock that does not care; what a run writes
down, and others compare (the Lease's renewals, change and sync windows, evidence), goes by the time of day."""
LEVEL = "pod-security.kubernetes.io/enforce"
TOO_STRICT = ("baseline", "restricted")
"""Levels of Pod Security that forbid the host's folders, which a probe mounts read-only."""
SCC = path("security.openshift.io/v1", "securitycontextconstraints", PROBE_ACCOUNT)


def taken_lease(kube: Kube, run: str) -> Iterator[Finding]:
    """Who else holds the cluster's Lease."""
    holder, renewed = holding(kube.find(LEASE_PATH), datetime.now(UTC))
    if not holder or holder == run or renewed is False:
        return
    where = f"Lease {NAMESPACE}/{LEASE}"
    if renewed:
        yield refused(where, f"run {holder} holds it", f"knowngood status {holder}")
    else:
        yield unknown(
            where, f"run {holder} is on it, and nobody can tell whether it lives", "see who runs it"
        )


def skewed(kube: Kube) -> Iterator[Finding]:
    """Whether this machine and the API server agree on the time of day, by the header of any answer."""
    answer = kube.patient(
        lambda: kube.request("GET", "/version", None, {}, timeout=kube.timeout), "GET /version"
    )
    where, said = "the clock of this machine", answer.headers.get("Date", "")
    try:
        off = (datetime.now(UTC) - parsedate_to_datetime(said)).total_seconds()
    except (ValueError, TypeError):
        yield unknown(where, "the API server's answer says no time of day", "see what answers in its place")
        return
    if abs(off) > SKEW:
        which = "ahead of" if off > 0 else "behind"
        yield refused(where, f"it is {abs(off):.0f} s {which} the API server's", "synchronise both by NTP")


def no_place_for_probes(kube: Kube, cluster: Cluster, active: Sequence[str]) -> Iterator[Finding]:
    """Why a probe's pod would not be made: its image, its namespace, whom it runs as, and what admits it.

    `active`: the gates that ask for pods. Without any, what only admits a pod is not looked for.
    """
    if active and not cluster.probe_image:
        what = f"probeImage is not set, and {', '.join(active)} ask for pods of it"
        yield refused(cluster.where.file, what, "build it with deploy/probe and name it by digest")
    applied = "apply deploy/base"
    space = kube.find(path("v1", "namespaces", NAMESPACE))
    if space is None:
        yield refused(f"namespace {NAMESPACE}", "there is none on this cluster", applied)
        return
    level = (space["metadata"].get("labels") or {}).get(LEVEL, "")
    if level in TOO_STRICT:
        what = f"{LEVEL} is {level}: probes mount three folders of the host, read-only"
        yield refused(f"namespace {NAMESPACE}", what, f"{applied}: the level is privileged there")
    if kube.find(path("v1", "serviceaccounts", PROBE_ACCOUNT, NAMESPACE)) is None:
        yield refused(
            f"ServiceAccount {NAMESPACE}/{PROBE_ACCOUNT}", "probes run as it, and it is not there", applied
        )
    if active:
        yield from _not_admitted(kube)


def _not_admitted(kube: Kube) -> Iterator[Finding]:
    """On OpenShift: whether the constraints that admit a probe are there, and are its ServiceAccount's."""
    try:
        kube.locate("security.openshift.io/v1", "SecurityContextConstraints", PROBE_ACCOUNT)
    except ApiError as error:
        if error.missing:
            return
        raise
    where, found = f"SecurityContextConstraints {PROBE_ACCOUNT}", kube.find(SCC)
    if found is None:
        what = "there is none: whether other constraints admit a probe is not known"
        yield unknown(where, what, "apply deploy/openshift")
    elif _account() not in (found.get("users") or ()):
        yield refused(where, f"it does not name {_account()}", "apply deploy/openshift again")


def _account() -> str:
    return f"system:serviceaccount:{NAMESPACE}:{PROBE_ACCOUNT}"

"""Names that knowngood writes on objects. They are an interface: change them only with a migration."""

from __future__ import annotations

DOMAIN = "knowngood.dev"
NAMESPACE = "knowngood"
"""Where the Lease, the checkpoints and the probe Jobs live."""

PROBE_ACCOUNT = "knowngood-probe"
"""Whom a probe's pod runs as: it has no rights (deploy/base). The constraints of deploy/openshift have its name."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "knowngood"
RUN_LABEL = f"{DOMAIN}/run"
RING_LABEL = f"{DOMAIN}/ring"
"""On nodes; the nodeSelector of a ring's objects. Rings outlive runs: no run ever changes it."""

CLAIM_ANNOTATION = f"{DOMAIN}/claim"
"""On a node we work on: `<run>/<lease transitions>`. Each patch of a node tests it first."""
SNAPSHOT_ANNOTATION = f"{DOMAIN}/snapshot"
"""On a claimed node: JSON of what release puts back (`unschedulable`)."""
REASON_ANNOTATION = f"{DOMAIN}/quarantine-reason"
"""On a quarantined node: why, for whoever looks at it."""
FLASH_ANNOTATION = f"{DOMAIN}/flash"
"""On a claimed node: JSON of what was begun at its BMC, written before it is asked, so that nobody begins it again."""
HOLD_ANNOTATION = f"{DOMAIN}/hold"
"""On an object whose work we paused: JSON of whose hold it is (`run`, `who`) and `until` when."""
ROLLS_ANNOTATION = f"{DOMAIN}/rolls"
"""On a pool that a run holds and has let go for its ring: the run. It is not paused then, and still that run's."""
BACKUP_ANNOTATION = f"{DOMAIN}/etcd-backup"
"""On the ClusterVersion: when whoever takes backups of etcd took the last one (RFC 3339)."""
PROCESS_ANNOTATION = f"{DOMAIN}/process"
"""On the Lease: the process that took it, so that `resume` on the same machine need not wait for a dead one."""
WHO_ANNOTATION = f"{DOMAIN}/who"
VERSION_ANNOTATION = f"{DOMAIN}/version"
"""On the Lease and a checkpoint: who (user@host) holds it or wrote it, and with which version of knowngood."""
ABORT_ANNOTATION = f"{DOMAIN}/abort"
"""On a run's checkpoint: `stop` or `hold`."""

SUMMARY_ANNOTATIONS = f"{DOMAIN}/"
"""On a run's checkpoint: the fields of its `RunSummary`, each an annotation that begins so."""
WRITER_ANNOTATION = f"{DOMAIN}/writer"
"""On a run's checkpoint: which process wrote it, so that two that write the same words are told apart."""

MAINTENANCE_TAINT = f"{DOMAIN}/maintenance"
QUARANTINE_TAINT = f"{DOMAIN}/quarantine"
"""Effect NoSchedule, value the run. The operands' tolerations must name both (declared in Git)."""

APPROVED_ANNOTATION = f"{DOMAIN}/approved"
"""On an InstallPlan that a run approved: `<run>/<hop>/...`."""

LEASE = "knowngood"
FLASH_LEASE_PREFIX = "knowngood-flash-"
"""Of the Leases that outlive a flash: one a failure domain of BMCs, one a machine."""
DOMAIN_ANNOTATION = f"{DOMAIN}/failure-domain"
"""On such a Lease: whose it is."""
CHECKPOINT_PREFIX = "knowngood-run-"

BRANCHES = "knowngood/"
"""Where our branches are, in a repository whose own takes only pull requests."""
UNDO_BRANCHES = f"{BRANCHES}undo/"


def undo_branch(commit: str) -> str:
    """The branch that takes a commit back."""
    return f"{UNDO_BRANCHES}{commit[:12]}"


TRAILER_RUN = "Knowngood-Run"
TRAILER_HOP = "Knowngood-Hop"
TRAILER_RING = "Knowngood-Ring"
TRAILER_RELEASE = "Knowngood-Release"
TRAILER_UNDOES = "Knowngood-Undoes"
TRAILER_ATTEMPT = "Knowngood-Attempt"
"""On a commit of a run's second way back (a rollback after one that did not end), or it would find the first one's."""


def claim_value(run: str, transitions: int) -> str:
    """The claim annotation's value for a run under one Lease holding."""
    return f"{run}/{transitions}"


def fence_of(claim: str) -> int:
    """The number in a claim annotation's value; 0 where there is none."""
    tail = claim.rpartition("/")[2]
    return int(tail) if tail.isdecimal() else 0

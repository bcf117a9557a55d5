"""What a SecurityContextConstraints admits of a pod, for the fields that ours uses.

After openshift/apiserver-library-go, pkg/securitycontextconstraints (sccadmission and the strategies of its folders):
a field that a pod sets must be one that the strategy allows; what it leaves out is filled in by the strategy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
FALSE_UNLESS = {
    "hostNetwork": "allowHostNetwork",
    "hostPID": "allowHostPID",
    "hostIPC": "allowHostIPC",
}
_EVERY_VOLUME = "*"


def refusals(constraints: Object, spec: Object, user: str) -> list[str]:
    """Why a pod of that user is not admitted by the constraints, by field; nothing where it is."""
    if user not in constraints.get("users", ()):
        return [f"users: {user} may not use {constraints['metadata']['name']}"]
    return [
        *_of_pod(constraints, spec),
        *(r for c in spec["containers"] for r in _of_container(constraints, spec, c)),
    ]


def _of_pod(constraints: Object, spec: Object) -> Iterator[str]:
    for field, allowed in FALSE_UNLESS.items():
        if spec.get(field) and not constraints.get(allowed):
            yield field
    kinds = {next(k for k in volume if k != "name") for volume in spec.get("volumes", ())}
    allowed_kinds = set(constraints.get("volumes") or ())
    if _EVERY_VOLUME not in allowed_kinds:
        yield from (f"volumes: {kind}" for kind in sorted(kinds - allowed_kinds))
    if "hostPath" in kinds and not constraints.get("allowHostDirVolumePlugin"):
        yield "volumes: hostPath, allowHostDirVolumePlugin"


def _of_container(constraints: Object, spec: Object, container: Object) -> Iterator[str]:
    pod, own = spec.get("securityContext") or {}, container.get("securityContext") or {}
    if own.get("privileged") and not constraints.get("allowPrivilegedContainer"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation", True) and not constraints.get("allowPrivilegeEscalation", True):
        yield "allowPrivilegeEscalation"
    if constraints.get("readOnlyRootFilesystem") and own.get("readOnlyRootFilesystem") is False:
        yield "readOnlyRootFilesystem"
    yield from _capabilities(constraints, own.get("capabilities") or {})
    yield from _selinux(constraints["seLinuxContext"], own.get("seLinuxOptions") or pod.get("seLinuxOptions"))
    profile = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type", "")
    known = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}
    if profile and known.get(profile) not in (constraints.get("seccompProfiles") or ()):
        yield f"seccompProfile: {profile}"
    if (
        constraints["runAsUser"]["type"] == "MustRunAsNonRoot"
        and own.get("runAsUser", pod.get("runAsUser")) == 0
    ):
        yield "runAsUser: 0"
    if (
        container.get("ports")
        and any(p.get("hostPort") for p in container["ports"])
        and not constraints.get("allowHostPorts")
    ):
        yield "hostPort"


def _capabilities(constraints: Object, capabilities: Object) -> Iterator[str]:
    added = set(capabilities.get("add") or ())
    allowed = {
        *(constraints.get("allowedCapabilities") or ()),
        *(constraints.get("defaultAddCapabilities") or ()),
    }
    if "*" not in allowed:
        yield from (f"capabilities.add: {name}" for name in sorted(added - allowed))
    missing = set(constraints.get("requiredDropCapabilities") or ()) - set(capabilities.get("drop") or ())
    if missing and capabilities:
        yield f"capabilities.drop: {', '.join(sorted(missing))}"


def _selinux(strategy: Object, asked: Object | None) -> Iterator[str]:
    """MustRunAs compares each of the four; a level that neither says comes from the namespace, and then differs."""
    if strategy["type"] == "RunAsAny" or asked is None:
        return
    options = strategy.get("seLinuxOptions") or {}
    for field in ("level", "role", "type", "user"):
        if asked.get(field, "") != options.get(field, "" if field != "level" else "of the namespace"):
            yield f"seLinuxOptions.{field}: {asked.get(field, '')!r}"

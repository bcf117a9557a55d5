"""PodSecurity: what a namespace's level forbids its pods. Pure; the checks are upstream's, in its newest version."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from knowngood.twin.values import Object

Check = Callable[[Object, list[Object]], Iterator[str]]

ENFORCE = "pod-security.kubernetes.io/enforce"
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_SYSCTLS = ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start")
_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_PROFILES = frozenset({"RuntimeDefault", "Localhost"})


def violations(level: str, spec: Object) -> list[str]:
    """Return what the level forbids and the pod's spec asks for; a level nobody knows counts as the strictest."""
    if level in {"", PRIVILEGED}:
        return []
    checks = _BASELINE if level == BASELINE else (*_BASELINE, *_RESTRICTED)
    groups = ("initContainers", "containers", "ephemeralContainers")
    containers = [one for group in groups for one in spec.get(group) or ()]
    return [found for check in checks for found in check(spec, containers)]


def _security(container: Object) -> Object:
    found: Object = container.get("securityContext") or {}
    return found


def _names(containers: list[Object]) -> str:
    shown = ", ".join(f'"{one["name"]}"' for one in containers)
    return f"container{'s' * (len(containers) > 1)} {shown}"


def _host_namespaces(spec: Object, _containers: list[Object]) -> Iterator[str]:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if used:
        yield f"host namespaces ({', '.join(used)})"


def _privileged(_spec: Object, containers: list[Object]) -> Iterator[str]:
    if bad := [one for one in containers if _security(one).get("privileged")]:
        yield f"privileged ({_names(bad)} must not set securityContext.privileged=true)"


def _added_capabilities(_spec: Object, containers: list[Object]) -> Iterator[str]:
    def added(one: Object) -> set[str]:
        return set((_security(one).get("capabilities") or {}).get("add") or ()) - _CAPABILITIES

    if bad := [one for one in containers if added(one)]:
        listed = ", ".join(f'"{name}"' for name in sorted(set().union(*map(added, bad))))
        yield f"non-default capabilities ({_names(bad)} must not include {listed} in securityContext.capabilities.add)"


def _host_paths(spec: Object, _containers: list[Object]) -> Iterator[str]:
    if bad := [f'"{one["name"]}"' for one in spec.get("volumes") or () if "hostPath" in one]:
        yield f"hostPath volumes (volume{'s' * (len(bad) > 1)} {', '.join(bad)})"


def _host_ports(_spec: Object, containers: list[Object]) -> Iterator[str]:
    if bad := [one for one in containers if any(port.get("hostPort") for port in one.get("ports") or ())]:
        yield f"hostPort ({_names(bad)} uses hostPorts)"


def _sysctls(spec: Object, _containers: list[Object]) -> Iterator[str]:
    asked = [one["name"] for one in (spec.get("securityContext") or {}).get("sysctls") or ()]
    if bad := [name for name in asked if name not in _SYSCTLS]:
        yield f"forbidden sysctls ({', '.join(bad)})"


def _proc_mount(_spec: Object, containers: list[Object]) -> Iterator[str]:
    if bad := [one for one in containers if _security(one).get("procMount") not in {None, "Default"}]:
        yield f"procMount ({_names(bad)} must not set securityContext.procMount)"


def _unconfined(spec: Object, containers: list[Object]) -> Iterator[str]:
    holders = [spec.get("securityContext") or {}, *map(_security, containers)]
    if any((one.get("seccompProfile") or {}).get("type") == "Unconfined" for one in holders):
        yield 'seccompProfile (must not set securityContext.seccompProfile.type to "Unconfined")'


def _volume_types(spec: Object, _containers: list[Object]) -> Iterator[str]:
    def kind(volume: Object) -> str:
        return next((name for name in volume if name != "name"), "emptyDir")

    bad = [one for one in spec.get("volumes") or () if kind(one) not in _VOLUMES]
    if bad:
        listed = ", ".join(f'volume "{one["name"]}" uses restricted volume type "{kind(one)}"' for one in bad)
        yield f"restricted volume types ({listed})"


def _escalation(_spec: Object, containers: list[Object]) -> Iterator[str]:
    if bad := [one for one in containers if _security(one).get("allowPrivilegeEscalation") is not False]:
        yield (
            "allowPrivilegeEscalation != false "
            f"({_names(bad)} must set securityContext.allowPrivilegeEscalation=false)"
        )


def _dropped_capabilities(_spec: Object, containers: list[Object]) -> Iterator[str]:
    def keeps(one: Object) -> bool:
        capabilities = _security(one).get("capabilities") or {}
        return "ALL" not in (capabilities.get("drop") or ()) or bool(
            set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
        )

    if bad := [one for one in containers if keeps(one)]:
        yield f'unrestricted capabilities ({_names(bad)} must set securityContext.capabilities.drop=["ALL"])'


def _root(spec: Object, containers: list[Object]) -> Iterator[str]:
    pod = spec.get("securityContext") or {}
    default = pod.get("runAsNonRoot")
    bad = [one for one in containers if not _security(one).get("runAsNonRoot", default)]
    if bad:
        yield f"runAsNonRoot != true (pod or {_names(bad)} must set securityContext.runAsNonRoot=true)"
    if pod.get("runAsUser") == 0 or any(_security(one).get("runAsUser") == 0 for one in containers):
        yield "runAsUser=0 (must not set runAsUser=0)"


def _seccomp(spec: Object, containers: list[Object]) -> Iterator[str]:
    default = ((spec.get("securityContext") or {}).get("seccompProfile") or {}).get("type")
    bad = [
        one
        for one in containers
        if (_security(one).get("seccompProfile") or {}).get("type", default) not in _PROFILES
    ]
    if bad:
        yield (
            f"seccompProfile (pod or {_names(bad)} must set securityContext.seccompProfile.type "
            'to "RuntimeDefault" or "Localhost")'
        )


_BASELINE: tuple[Check, ...] = (
    _host_namespaces,
    _privileged,
    _added_capabilities,
    _host_paths,
    _host_ports,
    _sysctls,
    _proc_mount,
    _unconfined,
)
_RESTRICTED: tuple[Check, ...] = (_volume_types, _escalation, _dropped_capabilities, _root, _seccomp)

"""The defaults that a real API server fills into built-in kinds. Values are upstream's documented ones."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable

from knowngood.twin.api.errors import cause, invalid
from knowngood.twin.values import Object, Values

SERVICE_NETWORK = "172.30"  # OpenShift's default service network is 172.30.0.0/16
_service_hosts = itertools.count(10)

# Added to every pod, so that it stays five minutes on a node that goes away.
_NODE_LOST_TOLERATIONS: tuple[Object, ...] = tuple(
    {
        "key": f"node.kubernetes.io/{problem}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for problem in ("not-ready", "unreachable")
)


def _fill(target: Object, defaults: Values) -> None:
    for name, value in defaults.items():
        if name not in target:
            target[name] = value


def _container(container: Object) -> None:
    image = container.get("image", "")
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    by_digest = "@" in image
    _fill(
        container,
        {
            "imagePullPolicy": "IfNotPresent" if by_digest or tag not in {"", "latest"} else "Always",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        },
    )
    for port in container.get("ports", ()):
        _fill(port, {"protocol": "TCP"})
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            _fill(
                container[probe],
                {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            )
    for variable in container.get("env", ()):
        reference = variable.get("valueFrom", {}).get("fieldRef")
        if reference is not None:
            _fill(reference, {"apiVersion": "v1"})
    limits = container["resources"].get("limits")
    if limits:
        requests = container["resources"].setdefault("requests", {})
        _fill(requests, limits)


def _volume(volume: Object) -> None:
    for source in ("configMap", "secret", "projected", "downwardAPI"):
        if source in volume:
            _fill(volume[source], {"defaultMode": 420})
    if "hostPath" in volume:
        _fill(volume["hostPath"], {"type": ""})


def pod_spec(spec: Object) -> None:
    """Fill a pod's or a template's spec."""
    _fill(
        spec,
        {
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30,
            "securityContext": {},
        },
    )
    if "serviceAccountName" in spec:
        _fill(spec, {"serviceAccount": spec["serviceAccountName"]})
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)


def _pod(obj: Object) -> None:
    spec = obj["spec"]
    pod_spec(spec)
    _fill(
        spec,
        {
            "serviceAccountName": "default",
            "serviceAccount": spec.get("serviceAccountName", "default"),
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
        },
    )
    tolerations = spec.setdefault("tolerations", [])
    for extra in _NODE_LOST_TOLERATIONS:
        if not any(
            one.get("key") in {extra["key"], None, ""} and one.get("effect") in {"NoExecute", None, ""}
            for one in tolerations
        ):
            tolerations.append(dict(extra))
    _fill(obj.setdefault("status", {}), {"phase": "Pending", "qosClass": _quality(spec)})


def _quality(spec: Object) -> str:
    """Return the quality-of-service class: by what cpu and memory the containers ask for."""
    containers = (*spec.get("initContainers", ()), *spec.get("containers", ()))
    guaranteed, asked = True, False
    for container in containers:
        requests = container["resources"].get("requests", {})
        limits = container["resources"].get("limits", {})
        for resource in ("cpu", "memory"):
            asked = asked or resource in requests or resource in limits
            if resource not in limits or requests.get(resource) != limits[resource]:
                guaranteed = False
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _template(obj: Object) -> None:
    template = obj["spec"].get("template")
    if template is not None:
        template.setdefault("metadata", {})
        pod_spec(template.setdefault("spec", {}))


def _deployment(obj: Object) -> None:
    _template(obj)
    _fill(
        obj["spec"],
        {
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate"},
        },
    )
    strategy = obj["spec"]["strategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        _fill(rolling, {"maxUnavailable": "25%", "maxSurge": "25%"})


def _replica_set(obj: Object) -> None:
    _template(obj)
    _fill(obj["spec"], {"replicas": 1})
    _fill(obj.setdefault("status", {}), {"replicas": 0})


def _daemon_set(obj: Object) -> None:
    _template(obj)
    _fill(obj["spec"], {"revisionHistoryLimit": 10, "updateStrategy": {"type": "RollingUpdate"}})
    strategy = obj["spec"]["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), {"maxUnavailable": 1, "maxSurge": 0})
    counters = ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady")
    _fill(obj.setdefault("status", {}), dict.fromkeys(counters, 0))


def _stateful_set(obj: Object) -> None:
    _template(obj)
    _fill(
        obj["spec"],
        {
            "replicas": 1,
            "podManagementPolicy": "OrderedReady",
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
    )
    _fill(obj.setdefault("status", {}), {"replicas": 0, "availableReplicas": 0})


def _job_spec(spec: Object) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    _fill(
        spec,
        {
            "parallelism": 1,
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "TerminatingOrFailed",
        },
    )


def _job(obj: Object) -> None:
    """Besides the defaults: pods are selected by the Job's uid, unless a manual selector was asked for."""
    _template(obj)
    spec = obj["spec"]
    _job_spec(spec)
    if spec.get("manualSelector") or "selector" in spec:
        return
    uid, name = obj["metadata"]["uid"], obj["metadata"]["name"]
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = spec["template"]["metadata"].setdefault("labels", {})
    for key, value in (("controller-uid", uid), ("job-name", name)):
        labels[key] = labels[f"batch.kubernetes.io/{key}"] = value


def _cron_job(obj: Object) -> None:
    _fill(
        obj["spec"],
        {
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        },
    )
    template = obj["spec"].get("jobTemplate", {})
    if "spec" in template:
        _template(template)


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _fill(
        spec,
        {
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "internalTrafficPolicy": "Cluster",
        },
    )
    if spec["type"] != "ExternalName" and "clusterIP" not in spec:
        host = next(_service_hosts)
        spec["clusterIP"] = f"{SERVICE_NETWORK}.{host // 256}.{host % 256}"
    _fill(spec, {"ipFamilyPolicy": "SingleStack", "clusterIPs": [spec.get("clusterIP", "")]})
    for port in spec.get("ports", ()):
        _fill(port, {"protocol": "TCP", "targetPort": port.get("port")})
    _fill(obj.setdefault("status", {}), {"loadBalancer": {}})


def _secret(obj: Object) -> None:
    _fill(obj, {"type": "Opaque"})
    written = {
        name: base64.b64encode(text.encode()).decode() for name, text in obj.pop("stringData", {}).items()
    }
    if written:  # a new one: a patch leaves the stored object's own in place
        obj["data"] = {**obj.get("data", {}), **written}
    for name, value in obj.get("data", {}).items():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            why = cause("FieldValueInvalid", f"data[{name}]", "Invalid value: illegal base64 data")
            raise invalid("Secret", "", obj["metadata"]["name"], [why]) from None


def _namespace(obj: Object) -> None:
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    _fill(obj.setdefault("spec", {}), {"finalizers": ["kubernetes"]})
    _fill(obj.setdefault("status", {}), {"phase": "Active"})


def _volume_claim(obj: Object) -> None:
    _fill(obj["spec"], {"volumeMode": "Filesystem"})
    _fill(obj.setdefault("status", {}), {"phase": "Pending"})


def _budget(obj: Object) -> None:
    counters = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
    _fill(obj.setdefault("status", {}), dict.fromkeys(counters, 0))


def _binding(obj: Object) -> None:
    _fill(obj["roleRef"], {"apiGroup": "rbac.authorization.k8s.io"})
    for subject in obj.get("subjects", ()):
        group = "" if subject.get("kind") == "ServiceAccount" else "rbac.authorization.k8s.io"
        if group:
            _fill(subject, {"apiGroup": group})


def _network_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    _fill(spec, {"policyTypes": ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]})


_FILLERS: dict[str, Callable[[Object], None]] = {
    "Node": lambda obj: _fill(obj, {"spec": {}, "status": {}}),
    "Pod": _pod,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "PersistentVolumeClaim": _volume_claim,
    "PodDisruptionBudget": _budget,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "NetworkPolicy": _network_policy,
    "StorageClass": lambda obj: _fill(obj, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
    "PriorityClass": lambda obj: _fill(obj, {"preemptionPolicy": "PreemptLowerPriority"}),
}


def fill(obj: Object) -> None:
    """Fill the defaults of a built-in kind, in place. The object has its name and uid already."""
    filler = _FILLERS.get(obj["kind"])
    if filler is not None and _has_what_it_needs(obj):
        filler(obj)


def _has_what_it_needs(obj: Object) -> bool:
    """Whether the object is whole enough for its defaults; validation will say what it lacks."""
    if obj["kind"] in {"RoleBinding", "ClusterRoleBinding"}:
        return isinstance(obj.get("roleRef"), dict)
    spec = obj.get("spec", {})
    if obj["kind"] == "Job":
        return isinstance(spec.get("template"), dict)
    if obj["kind"] in {
        "Pod",
        "Deployment",
        "ReplicaSet",
        "DaemonSet",
        "StatefulSet",
        "CronJob",
        "PersistentVolumeClaim",
    }:
        return "spec" in obj
    return True

"""The kinds of the Operator Lifecycle Manager (v0), where a cluster has it."""

from __future__ import annotations

from knowngood.twin.crds import ANY, FLAG, MANY, NUMBER, TEXT, TEXTS, Schema, definition, one_of, open_object

GROUP = "operators.coreos.com"
V1 = "olm.operatorframework.io"
PACKAGES = "packages.operators.coreos.com"
AGE = ("Age", "date", ".metadata.creationTimestamp")
NAMES: Schema = {"type": "array", "items": TEXT}


def olm_crds() -> list[Schema]:
    """What OLM itself serves; what operators bring comes with their bundles."""
    return [
        _catalog_source(),
        _subscription(),
        _install_plan(),
        _service_version(),
        _operator_group(),
        package_manifest(),
    ]


def olm_v1_crds() -> list[Schema]:
    """ClusterExtension and ClusterCatalog, of the cluster both."""
    upgrade = {**one_of("CatalogProvided", "SelfCertified"), "default": "CatalogProvided"}
    catalog = open_object(
        {"packageName": TEXT, "version": TEXT, "channels": NAMES, "upgradeConstraintPolicy": upgrade},
        ("packageName",),
    )
    source = open_object({"sourceType": one_of("Catalog"), "catalog": catalog}, ("sourceType",))
    safety = open_object({"enforcement": one_of("None", "Strict")}, ("enforcement",))
    install = open_object({"preflight": open_object({"crdUpgradeSafety": safety})})
    extension = open_object(
        {"namespace": TEXT, "source": source, "install": install}, ("namespace", "source")
    )
    offered = open_object(
        {"source": ANY, "priority": NUMBER, "availabilityMode": {**TEXT, "default": "Available"}}, ("source",)
    )
    status = open_object({"conditions": MANY})
    return [
        definition(V1, "v1", kind, plural, {"spec": spec, "status": status}, (AGE,))
        for kind, plural, spec in (
            ("ClusterExtension", "clusterextensions", extension),
            ("ClusterCatalog", "clustercatalogs", offered),
        )
    ]


def package_manifest() -> Schema:
    """An aggregated API on a real cluster; here objects that follow the catalogs."""
    status = open_object({"packageName": TEXT, "defaultChannel": TEXT, "channels": MANY})
    columns = (("Catalog", "string", ".status.catalogSource"), AGE)
    properties = {"spec": ANY, "status": status}
    return definition(
        PACKAGES,
        "v1",
        "PackageManifest",
        "packagemanifests",
        properties,
        columns,
        namespaced=True,
        status=False,
    )


def _catalog_source() -> Schema:
    spec = open_object({"sourceType": TEXT, "address": TEXT, "image": TEXT}, ("sourceType",))
    status = open_object(
        {"connectionState": open_object({"lastObservedState": TEXT}, ("lastObservedState",))}
    )
    columns = (
        ("Display", "string", ".spec.displayName"),
        ("Type", "string", ".spec.sourceType"),
        ("Publisher", "string", ".spec.publisher"),
        AGE,
    )
    return _kind("CatalogSource", {"spec": spec, "status": status}, columns, "catsrc")


def _subscription() -> Schema:
    spec = open_object(
        {
            "name": TEXT,
            "source": TEXT,
            "sourceNamespace": TEXT,
            "channel": TEXT,
            "startingCSV": TEXT,
            "installPlanApproval": TEXT,
        },
        ("name", "source", "sourceNamespace"),
    )
    status = open_object({"lastUpdated": TEXT, "conditions": MANY}, ("lastUpdated",))
    columns = (
        ("Package", "string", ".spec.name"),
        ("Source", "string", ".spec.source"),
        ("Channel", "string", ".spec.channel"),
    )
    return _kind("Subscription", {"spec": spec, "status": status}, columns, "sub", "subs")


def _install_plan() -> Schema:
    spec = open_object(
        {"approval": TEXT, "approved": FLAG, "clusterServiceVersionNames": NAMES, "generation": NUMBER},
        ("approval", "approved", "clusterServiceVersionNames"),
    )
    status = open_object({"catalogSources": NAMES, "phase": TEXT, "plan": MANY}, ("catalogSources", "phase"))
    columns = (
        ("CSV", "string", ".spec.clusterServiceVersionNames[0]"),
        ("Approval", "string", ".spec.approval"),
        ("Approved", "boolean", ".spec.approved"),
    )
    return _kind("InstallPlan", {"spec": spec, "status": status}, columns, "ip")


def _service_version() -> Schema:
    install = open_object({"strategy": TEXT, "spec": ANY}, ("strategy",))
    spec = open_object(
        {"displayName": TEXT, "version": TEXT, "replaces": TEXT, "install": install},
        ("displayName", "install"),
    )
    columns = (
        ("Display", "string", ".spec.displayName"),
        ("Version", "string", ".spec.version"),
        ("Replaces", "string", ".spec.replaces"),
        ("Phase", "string", ".status.phase"),
    )
    return _kind(
        "ClusterServiceVersion",
        {"spec": spec, "status": open_object({"phase": TEXT})},
        columns,
        "csv",
        "csvs",
    )


def _operator_group() -> Schema:
    spec = open_object(
        {
            "targetNamespaces": NAMES,
            "selector": open_object({"matchLabels": TEXTS}),
            "upgradeStrategy": {**one_of("Default", "TechPreviewUnsafeFailForward"), "default": "Default"},
        }
    )
    return _kind("OperatorGroup", {"spec": spec, "status": open_object({})}, (), "og", version="v1")


def _kind(
    kind: str,
    properties: Schema,
    columns: tuple[tuple[str, str, str], ...],
    *short: str,
    version: str = "v1alpha1",
) -> Schema:
    plural = f"{kind.lower()}s"
    return definition(GROUP, version, kind, plural, properties, columns, short=short, namespaced=True)

"""Before an extension moves: which catalogs and channels count for OLM v1, and when it resolves nothing at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import path
from knowngood.adapters.movers.olm_v1 import OlmV1
from knowngood.adapters.movers.olm_v1_catalogs import API
from knowngood.model.field import ObjectRef
from knowngood.model.mover import MoverSpec, Moving

PACKAGE, VERSION = "thing", "1.1.0"
AT = ObjectRef(API, "ClusterExtension", PACKAGE)
BACK = Moving(
    PACKAGE,
    "1.2.0",
    VERSION,
    MoverSpec("olm-v1", fields={"ClusterExtension": {"spec.source.catalog.version": "{version}"}}),
    AT,
)
NAME = "olm.operatorframework.io/metadata.name"
Document = Mapping[str, Any]


class Catalogs(FakeKube):
    """Catalogs by name, each behind catalogd's service."""

    def __init__(self) -> None:
        super().__init__()
        self.collections |= {"clustercatalogs", "customresourcedefinitions"}
        self.content: dict[str, Sequence[Document]] = {}

    def offers(
        self, name: str, *channels: str, priority: int = 0, serving: bool = True, deprecated: bool = False
    ) -> None:
        """It has the version in these channels."""
        at = {"base": f"https://catalogd.olm.svc/catalogs/{name}"}
        status = {"urls": at, "conditions": [{"type": "Serving", "status": str(serving)}]}
        obj = {"metadata": {"labels": {NAME: name}}, "spec": {"priority": priority}, "status": status}
        self.put(path(API, "clustercatalogs", name), obj)
        self.content[name] = [*documents(channels, deprecated)]

    def _serve(self, method: str, path: str, query: dict[str, str], body: Any, kind: str) -> tuple[int, Any]:
        if "/proxy/catalogs/" in path:
            found = self.content[path.split("/proxy/catalogs/")[1].partition("/")[0]]
            return 200, "\n".join(map(json.dumps, found)).encode()
        return super()._serve(method, path, query, body, kind)


def documents(channels: Sequence[str], deprecated: bool) -> Sequence[Document]:
    bundle = f"{PACKAGE}.v{VERSION}"
    of = {"package": PACKAGE}
    properties = [{"type": "olm.package", "value": {"packageName": PACKAGE, "version": VERSION}}]
    about = [{"reference": {"schema": "olm.bundle", "name": bundle}, "message": "old"}]
    return [
        {"schema": "olm.package", "name": PACKAGE},
        *({"schema": "olm.channel", "name": c, "entries": [{"name": bundle}], **of} for c in channels),
        {"schema": "olm.bundle", "name": bundle, "properties": properties, **of},
        *([{"schema": "olm.deprecations", "entries": about, **of}] if deprecated else []),
    ]


@pytest.fixture(name="kube")
def _kube() -> Catalogs:
    return Catalogs()


def asked(kube: Catalogs, **source: Any) -> str:
    """What is said against the way back to the version."""
    catalog = {"packageName": PACKAGE, "version": "1.2.0", **source}
    obj = {"spec": {"namespace": "things", "source": {"sourceType": "Catalog", "catalog": catalog}}}
    kube.put(path(API, "clusterextensions", PACKAGE), obj)
    return "; ".join(map(str, OlmV1(kube, cluster()).ready(BACK, undo=True)))


@pytest.mark.parametrize(
    ("operator", "values", "chosen"),
    [
        ("In", ["a"], True),
        ("In", ["b", "c"], False),
        ("NotIn", ["a"], False),
        ("NotIn", ["b"], True),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ],
)
@pytest.mark.parametrize("labels", [{}, {NAME: "a"}, {NAME: "b"}])
def test_expressions_of_the_selector_choose_together_with_its_labels(
    kube: Catalogs, operator: str, values: Sequence[str] | None, labels: Mapping[str, str], chosen: bool
) -> None:
    kube.offers("a", "stable")
    expression = {"key": NAME, "operator": operator, **({"values": values} if values else {})}
    said = asked(kube, selector={"matchExpressions": [expression], "matchLabels": labels})
    found = chosen and labels.get(NAME) != "b"
    assert said == "" if found else "no ClusterCatalog is there in which it looks" in said


@pytest.mark.parametrize("selector", [None, {}, {"matchLabels": None, "matchExpressions": None}])
def test_without_a_selector_all_catalogs_count(kube: Catalogs, selector: Any) -> None:
    kube.offers("a", "stable")
    assert asked(kube, selector=selector) == ""


def test_a_version_outside_of_its_channels_is_no_offer_and_where_it_is_instead_is_said(
    kube: Catalogs,
) -> None:
    kube.offers("a", "preview", "fast")
    assert asked(kube) == asked(kube, channels=["stable", "fast"]) == ""
    said = asked(kube, channels=["stable"])
    assert f"no ClusterCatalog offers thing {VERSION} in channel stable (it is in fast, preview)" in said
    assert "there would be no way back" in said


def test_two_catalogs_of_one_priority_are_no_choice(kube: Catalogs) -> None:
    kube.offers("a", "stable")
    kube.offers("b", "stable")
    assert f"ClusterCatalogs a and b offer thing {VERSION} with the same priority" in asked(kube)
    kube.offers("c", "fast", priority=1)
    assert asked(kube) == ""
    assert "ClusterCatalogs a and b" in asked(kube, channels=["stable"]), "c has it in another channel"
    kube.offers("c")
    kube.offers("a", "stable", deprecated=True)
    assert asked(kube, channels=["stable"]) == "", "what is deprecated gives way"


def test_one_catalog_that_is_not_served_stops_all_that_choose_it(kube: Catalogs) -> None:
    """operator-controller waits for all of them, though another has the version."""
    kube.offers("a", "stable")
    kube.offers("b", "stable", serving=False)
    assert "ClusterCatalog b is not Serving: whether 1.1.0 is offered is untold" in asked(kube)
    assert asked(kube, selector={"matchLabels": {NAME: "a"}}) == ""


def test_an_extension_that_is_being_deleted_or_whose_operator_is_scaled_to_none_is_not_there() -> None:
    """Both conditions are of its present generation, and all counts are right."""
    kube = Catalogs()
    kube.collections |= {"deployments"}
    well = [
        {"type": kind, "status": "True", "reason": "Succeeded", "observedGeneration": 1}
        for kind in ("Progressing", "Installed")
    ]
    catalog = {"catalog": {"packageName": PACKAGE, "version": VERSION}}
    bundle = {"bundle": {"name": f"{PACKAGE}.v{VERSION}", "version": VERSION}}
    where = path(API, "clusterextensions", PACKAGE)
    kube.put(
        where,
        {
            "metadata": {"generation": 1},
            "spec": {"namespace": "x", "source": catalog},
            "status": {"conditions": well, "install": bundle},
        },
    )
    owner = {"owner-kind": "ClusterExtension", "owner-name": PACKAGE}
    labels = {f"olm.operatorframework.io/{key}": value for key, value in owner.items()}
    operator: dict[str, Any] = {
        "metadata": {"labels": labels, "namespace": "x", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1},
    }
    kube.put(path("apps/v1", "deployments", "o", "x"), operator)
    olm = OlmV1(kube, cluster())
    assert olm.look(BACK).done
    idle = {**operator, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}}
    kube.put(path("apps/v1", "deployments", "o", "x"), idle)
    assert "o is scaled to none" in olm.look(BACK).waiting
    kube.put(path("apps/v1", "deployments", "o", "x"), operator)
    kube.objects[where]["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
    assert "is being deleted" in olm.look(BACK).waiting
    assert olm.state(BACK).running == ""

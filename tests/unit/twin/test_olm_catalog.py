"""A catalog's update graph, and what the resolver makes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from knowngood.twin.behaviours.kube import Key
from knowngood.twin.behaviours.olm_catalog import Catalog, in_range, next_patch
from knowngood.twin.behaviours.olm_objects import deployments_of, service_accounts_of
from knowngood.twin.behaviours.olm_resolver import Unavailable, Unsatisfiable, resolve
from knowngood.twin.values import Object

SOURCE: Key = ("openshift-marketplace", "cat")


def bundle(name: str, package: str = "op", kinds: tuple[str, ...] = ()) -> Object:
    value = {"packageName": package, "version": name.partition(".v")[2]}
    apis = [{"type": "olm.gvk", "value": {"group": "g", "kind": kind, "version": "v1"}} for kind in kinds]
    properties = [{"type": "olm.package", "value": value}, *apis]
    return {"schema": "olm.bundle", "name": name, "package": package, "properties": properties}


def catalog(*entries: Object, package: str = "op", channel: str = "stable", **bundles: Any) -> Catalog:
    rows = [{"schema": "olm.channel", "package": package, "name": channel, "entries": list(entries)}]
    return Catalog([*rows, *(bundle(entry["name"], package, **bundles) for entry in entries)])


def subscription(name: str = "op", installed: str = "", current: str = "", **spec: str) -> Object:
    status = {"installedCSV": installed, "currentCSV": current or installed} if installed or current else {}
    wanted = {"name": name, "channel": "stable", "source": SOURCE[1], "sourceNamespace": SOURCE[0], **spec}
    return {"metadata": {"name": name, "namespace": "n"}, "spec": wanted, "status": status}


def version(name: str, phase: str = "Succeeded", kinds: tuple[str, ...] = (), **spec: str) -> Object:
    owned = [{"name": f"{kind.lower()}s.g", "kind": kind, "version": "v1"} for kind in kinds]
    told = {"version": name.partition(".v")[2], "customresourcedefinitions": {"owned": owned}, **spec}
    return {"metadata": {"name": name, "namespace": "n"}, "spec": told, "status": {"phase": phase}}


LINE = (
    {"name": "op.v1.0.0"},
    {"name": "op.v1.1.0", "replaces": "op.v1.0.0"},
    {"name": "op.v1.2.0", "replaces": "op.v1.1.0"},
)


def chosen(subs: list[Object], csvs: list[Object], made: Catalog | str) -> list[tuple[str, bool]]:
    return [(choice.bundle.name, choice.new) for choice in resolve(subs, csvs, {SOURCE: made})]


def test_a_channel_is_read_from_its_head() -> None:
    assert catalog(*LINE).names("op", "stable") == ["op.v1.2.0", "op.v1.1.0", "op.v1.0.0"]
    assert catalog(*reversed(LINE)).names("op", "stable") == ["op.v1.2.0", "op.v1.1.0", "op.v1.0.0"]


@pytest.mark.parametrize(
    ("head", "installed", "follows"),
    [
        ({"replaces": "op.v1.2.0"}, "op.v1.2.0", "op.v1.3.0"),
        ({"replaces": "op.v1.2.0"}, "op.v1.0.0", "op.v1.1.0"),
        ({"replaces": "op.v1.2.0", "skips": ["op.v1.0.0"]}, "op.v1.0.0", "op.v1.3.0"),
        ({"replaces": "op.v1.2.0", "skipRange": ">=1.0.0 <1.3.0"}, "op.v1.0.0", "op.v1.3.0"),
        ({"replaces": "op.v1.2.0", "skipRange": ">=1.1.0 <1.3.0"}, "op.v1.0.0", "op.v1.1.0"),
        ({"replaces": "op.v1.2.0"}, "op.v1.3.0", ""),
        ({"replaces": "op.v1.2.0"}, "op.v9.0.0", ""),
    ],
)
def test_what_follows_replaces_or_skips_the_installed_version(
    head: Object, installed: str, follows: str
) -> None:
    made = catalog(*LINE, {"name": "op.v1.3.0", **head})
    found = made.successor("op", "stable", installed, installed.partition(".v")[2])
    assert (found.name if found else "") == follows


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        (">=1.0.0 <2.0.0", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        (">1.0.0 <=2.0.0", ["1.0.1", "2.0.0"], ["1.0.0", "2.0.1"]),
        ("<1.0.0 || >=3.0.0", ["0.1.0", "3.0.0"], ["1.0.0", "2.9.9"]),
        ("1.2.3", ["1.2.3", "v1.2.3"], ["1.2.4"]),
    ],
)
def test_ranges(limits: str, inside: list[str], outside: list[str]) -> None:
    assert [one for one in [*inside, *outside] if in_range(one, limits)] == inside


def test_the_next_patch_counts_the_last_number() -> None:
    assert next_patch("26.7.0") == "26.7.1"
    assert next_patch("v4.18.0-202610") == "4.18.1"


def test_a_starting_version_counts_only_while_nothing_is_installed() -> None:
    made = catalog(*LINE)
    assert chosen([subscription(startingCSV="op.v1.0.0")], [], made) == [("op.v1.0.0", True)]
    assert chosen([subscription()], [], made) == [("op.v1.2.0", True)]
    installed = subscription(installed="op.v1.1.0", startingCSV="op.v1.0.0")
    assert chosen([installed], [version("op.v1.1.0")], made) == [("op.v1.2.0", True)]
    at_head = subscription(installed="op.v1.2.0", startingCSV="op.v1.0.0")
    assert chosen([at_head], [version("op.v1.2.0")], made) == []


def test_what_waits_already_is_in_the_answer_but_not_new() -> None:
    sub = subscription(installed="op.v1.0.0", current="op.v1.1.0")
    assert chosen([sub], [version("op.v1.0.0")], catalog(*LINE)) == [("op.v1.1.0", False)]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"name": "other"}, "no operators found from package other in the catalog"),
        ({"channel": "beta"}, "no operators found in channel beta of package op"),
        (
            {"startingCSV": "op.v0.1.0"},
            "no operators found with name op.v0.1.0 in channel stable of package op",
        ),
    ],
)
def test_what_the_catalog_lacks_is_named(spec: dict[str, str], words: str) -> None:
    with pytest.raises(Unsatisfiable, match=words):
        chosen([{**subscription(), "spec": {**subscription()["spec"], **spec}}], [], catalog(*LINE))


def test_a_version_that_is_being_replaced_is_no_orphan() -> None:
    subs, made = [subscription(installed="op.v1.1.0")], catalog(*LINE)
    leaving = version("op.v1.0.0", "Replacing")
    newer = version("op.v1.1.0", replaces="op.v1.0.0")
    assert chosen(subs, [leaving, newer], made) == [("op.v1.2.0", True)]
    with pytest.raises(Unsatisfiable, match=r"op\.v1\.0\.0 exists and is not referenced by a subscription"):
        chosen(subs, [version("op.v1.0.0"), newer], made)


def test_another_package_that_brings_the_same_kind_is_in_the_way() -> None:
    made = catalog(*LINE, kinds=("Widget",))
    with pytest.raises(Unsatisfiable, match=r"rival\.v1 exists"):
        chosen([subscription()], [version("rival.v1", kinds=("Widget",))], made)
    assert chosen([subscription()], [version("rival.v1", kinds=("Gadget",))], made)


def test_one_catalog_that_is_away_stops_the_whole_namespace() -> None:
    here = ("openshift-marketplace", "here")
    subs = [subscription(), subscription("other", source="here")]
    with pytest.raises(Unavailable, match=r"openshift-marketplace/cat: .*dial tcp away:50051"):
        resolve(subs, [], {SOURCE: "away:50051", here: catalog(*LINE, package="other")})


def test_a_subscription_without_a_catalog_waits_alone() -> None:
    subs = [subscription(), subscription("lost", source="nowhere")]
    assert chosen(subs, [], catalog(*LINE)) == [("op.v1.2.0", True)]


def test_a_bundle_brings_its_own_manifests_or_gets_a_version_with_one_deployment() -> None:
    plain = Catalog([bundle("op.v1.0.0")]).bundles["op.v1.0.0"]
    assert [d["metadata"]["name"] for d in deployments_of(with_space(plain.service_version))] == ["op"]
    assert service_accounts_of(plain.service_version) == ["op"]
    own = version("op.v1.0.0")
    data = base64.b64encode(json.dumps({"kind": "ClusterServiceVersion", **own}).encode()).decode()
    row = bundle("op.v1.0.0")
    row["properties"].append({"type": "olm.bundle.object", "value": {"data": data}})
    assert Catalog([row]).bundles["op.v1.0.0"].service_version["spec"] == own["spec"]


def with_space(csv: Object) -> Object:
    return {**csv, "metadata": {**csv["metadata"], "namespace": "n", "uid": "u"}}

"""Which release image the twin's cluster-version operator takes, and what stands against a new minor."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.twin import seed as seeds
from knowngood.twin.behaviours.cvo_payloads import Said, accepted, previous, said_of, upgradeable
from knowngood.twin.behaviours.cvo_status import status_of
from knowngood.twin.release_objects import cluster_operator, cluster_version
from knowngood.twin.seed import PayloadSeed, Seed, SeedError
from knowngood.twin.values import Object

VERSIONS = ("4.18.50", "4.18.51", "4.18.52", "4.18.60", "4.19.20")
PAYLOADS = {v: PayloadSeed(v, f"registry.example.com/ocp@sha256:{v}") for v in VERSIONS}


def cluster(openshift: str = "4.18.52") -> Seed:
    payloads = [{"version": p.version, "image": p.image} for p in PAYLOADS.values()]
    document: dict[str, Any] = {
        "schema": 1,
        "openshift": openshift,
        "gpuOperator": {"version": "26.7.0", "namespace": "gpu"},
        "clusterVersion": {"payloads": payloads},
    }
    return seeds.parse(document)


def after(*versions: str) -> Object:
    """The ClusterVersion of a cluster that ran these, the newest last."""
    obj = cluster_version(cluster(versions[-1]))
    entries = [{"state": "Completed", "version": v, "image": PAYLOADS[v].image} for v in reversed(versions)]
    obj["status"]["history"] = entries
    return obj


def asked(version: str, obj: Object, standing: Said | None = None, **more: Any) -> tuple[bool, Said]:
    payload = PAYLOADS[version]
    wanted = {"version": version, "image": payload.image, **more}
    return accepted(wanted, payload, obj, standing, known=False)


def test_a_cluster_must_run_a_payload_that_its_mirror_holds() -> None:
    with pytest.raises(SeedError, match=r"no payload is 4\.18\.1"):
        cluster("4.18.1")


def test_a_newer_patch_is_taken_even_where_a_minor_would_not_be() -> None:
    standing = Said("False", "AdminAckRequired", "x")
    assert asked("4.18.60", after("4.18.52"), standing)[0]
    taken, said = asked("4.19.20", after("4.18.52"), standing)
    assert not taken
    assert (said.status, said.reason) == ("False", "PreconditionChecks")
    assert "AdminAckRequired" in said.message
    assert asked("4.19.20", after("4.18.52"))[0]


@pytest.mark.parametrize(
    ("versions", "to", "taken"),
    [
        (("4.18.51", "4.18.52"), "4.18.51", True),
        (("4.18.50", "4.18.51", "4.18.52"), "4.18.50", False),
        (("4.18.52",), "4.18.51", False),
        (("4.18.60", "4.19.20"), "4.18.60", False),
    ],
)
def test_the_way_back_is_one_step_within_a_minor(versions: tuple[str, ...], to: str, *, taken: bool) -> None:
    obj = after(*versions)
    found, said = asked(to, obj)
    assert found is taken
    assert taken or "LowDesiredVersion" in said.message
    assert asked(to, obj, force=True)[0], "force passes everything: that is why nobody may set it"


def test_what_the_mirror_lacks_or_nobody_signed_is_refused_in_one_condition() -> None:
    obj = after("4.18.52")
    nowhere = accepted({"version": "4.18.60", "image": "x"}, None, obj, None, known=False)
    unsigned = PayloadSeed("4.18.60", "x", signed=False)
    unknown = accepted({"version": "4.18.60", "image": "x"}, unsigned, obj, None, known=False)
    assert [(one[0], one[1].reason) for one in (nowhere, unknown)] == [(False, "RetrievePayload")] * 2


def test_the_previous_version_is_the_newest_other_entry() -> None:
    assert previous(after("4.18.52")["status"]["history"]) is None
    entry = previous(after("4.18.50", "4.18.51", "4.18.52")["status"]["history"])
    assert entry is not None
    assert entry["version"] == "4.18.51"


def test_everything_that_stands_against_a_minor_is_named() -> None:
    obj = after("4.18.52")
    assert upgradeable(obj, [cluster_operator("etcd", "4.18.52")], {}) is None
    obj["spec"]["overrides"] = [{"unmanaged": True}]
    said = upgradeable(obj, [], {"ack-4.18-apis": "an API goes"})
    assert said is not None
    assert said.reason == "MultipleReasons"
    assert "an API goes" in said.message


def test_a_degraded_operator_keeps_an_update_from_its_end() -> None:
    obj, target = after("4.18.52"), PAYLOADS["4.18.60"]
    etcd, network = (cluster_operator(name, "4.18.60") for name in ("etcd", "network"))
    for condition in network["status"]["conditions"]:
        if condition["type"] == "Degraded":
            condition["status"] = "True"
    status = status_of(obj, target, [etcd, network], 2, None)
    assert status["history"][0]["state"] == "Partial"
    assert said_of(status["conditions"], "Failing").reason == "ClusterOperatorDegraded"
    assert said_of(status["conditions"], "Progressing").status == "True"
    done = status_of(obj, target, [etcd], 2, None)
    assert [done["history"][0][key] for key in ("state", "version")] == ["Completed", "4.18.60"]

"""Probes that meet: all at once, found by name, allowed to talk; and what they meet by is gone on every end."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.adapters.judging import gang, probe_job
from knowngood.adapters.judging.probe_manifest import PROBE_LABEL, host_name, manifest
from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.model.errors import Inconclusive, Interrupted
from knowngood.ports.cancel import Cancel

from .ordering import order
from .test_probe_job import FakeKube

MANY = tuple(f"gpu-{number}" for number in range(1, 13))
OWNER = {"metadata": {"name": "probe-1", "uid": "u1"}}


class Meeting(FakeKube):
    """Keeps Services and NetworkPolicies, too. `goes`: whether they can be deleted."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.there: dict[str, Object] = {}
        self.seen: list[str] = []
        self.goes = True
        self.denied = False

    def create(self, where: str, body: Object, **query: str) -> Object:
        if body["kind"] == "Job":
            return super().create(where, body, **query)
        if self.denied:
            raise ApiError(403, "Forbidden", "", "POST services")
        name = f"{body['kind']}/{body['metadata']['name']}"
        self.there[name] = {**body, "metadata": {**body["metadata"], "uid": name}}
        self.seen.append(body["kind"])
        return self.there[name]

    def list(self, where: str, labels: str = "", fields: str = "", keep: Any = None) -> list[Object]:
        if where.endswith(("/jobs", "/pods")):
            return super().list(where, labels, fields, keep)
        kind = "Service" if where.endswith("/services") else "NetworkPolicy"
        return [one for one in self.there.values() if one["kind"] == kind]

    def delete(self, where: str, uid: str = "", grace: int | None = None) -> bool:
        if self.goes:
            self.there.pop(uid, None)
        return self.goes


def together(**changes: Any) -> Any:
    return order(together=True, **changes)


def test_each_pod_has_a_name_that_the_service_gives() -> None:
    asked = together()
    spec = manifest(asked, "gpu-1")["spec"]["template"]["spec"]
    made = gang.service(asked, OWNER)
    assert asked.name_of("gpu-1") == f"{spec['hostname']}.{spec['subdomain']}.{asked.namespace}.svc"
    assert (spec["hostname"], spec["subdomain"]) == (host_name("gpu-1"), made["metadata"]["name"])
    assert (made["spec"]["clusterIP"], made["spec"]["publishNotReadyAddresses"]) == ("None", True)
    labels = manifest(asked, "gpu-1")["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"].items() <= labels.items()
    assert all(len(part) <= 63 for part in asked.name_of("x" * 253).split("."))


def test_who_does_not_meet_has_no_name() -> None:
    assert not {"hostname", "subdomain"} & {*manifest(order(), "gpu-1")["spec"]["template"]["spec"]}


def test_the_policy_lets_them_talk_to_each_other_and_ask_for_names_and_nothing_else() -> None:
    asked = together()
    spec = gang.policy(asked, OWNER)["spec"]
    mine = {"podSelector": {"matchLabels": {PROBE_LABEL: asked.group}}}
    assert spec["podSelector"] == mine["podSelector"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"from": [mine]}]
    each_other, dns = spec["egress"]
    assert each_other == {"to": [mine]}
    assert {p["port"] for p in dns["ports"]} == {53, 5353}


@pytest.mark.parametrize("made", [gang.service, gang.policy])
def test_both_are_marked_as_ours_and_go_with_the_first_job(made: Any) -> None:
    metadata = made(together(), OWNER)["metadata"]
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "knowngood"
    assert metadata["labels"]["knowngood.dev/run"] == "r1"
    assert metadata["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "probe-1", "uid": "u1"}
    ]


def test_all_are_on_their_way_at_once_and_nothing_of_the_meeting_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_job, "AT_A_TIME", 2)
    kube = Meeting(nodes=MANY)
    answers = probe_job.run(kube, together(nodes=MANY), Cancel())
    assert (len(answers.documents), kube.most, answers.leftover) == (12, 12, {})
    assert kube.seen == ["Service", "NetworkPolicy"]
    assert (kube.there, kube.jobs) == ({}, {})


def test_nothing_stays_of_a_meeting_that_is_called_off() -> None:
    kube, cancel = Meeting(fate=lambda _: {"phase": "Running"}), Cancel()
    cancel.set("INT")
    with pytest.raises(Interrupted):
        probe_job.run(kube, together(deadline=30.0), cancel)
    assert (kube.there, kube.jobs) == ({}, {})


def test_an_older_deploy_is_told_and_what_was_made_is_gone() -> None:
    kube = Meeting()
    kube.denied = True
    with pytest.raises(Inconclusive, match="can't be made to meet"):
        probe_job.run(kube, together(), Cancel())
    assert (kube.there, kube.jobs) == ({}, {})


def test_what_does_not_go_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_job, "DELETED_WITHIN", 0.1)
    kube = Meeting()
    kube.goes = False
    answers = probe_job.run(kube, together(), Cancel())
    assert [word for word in answers.leftover.values() if "services/probe-" in word]


def test_a_killed_judgements_meeting_is_removed() -> None:
    kube = Meeting()
    gang.make(kube, together(), OWNER)
    assert probe_job.remove(kube, "knowngood", together().group, Cancel(), together=True) == ""
    assert kube.there == {}

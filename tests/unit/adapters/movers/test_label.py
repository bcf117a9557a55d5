"""A label is written on a node that is ours; what is made of it counts by the driver and by what the node offers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import BOOT, NODE, NODE_PATH, OPERATOR, RUN, machine, node, task
from tests.unit.gates.smi import PARTED, SXM, printed

from knowngood.adapters.cluster import driver_pod, facts, gpu_config
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.adapters.movers import label, looking
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import ClaimLost, NodeFailed, NotTold
from knowngood.model.mover import Mark, MoverSpec, Moving, NodeLabel, Seen, Words

LAYOUT, STATE, SHARES = (
    "nvidia.com/mig.config",
    "nvidia.com/mig.config.state",
    "nvidia.com/device-plugin.config",
)
WORDS = Words("layout", "", "")
PARTS = MoverSpec(
    "label", label=NodeLabel(LAYOUT, Seen.PARTED, "app=manager", STATE, "all-disabled"), words=WORDS
)
OFFERS = MoverSpec("label", label=NodeLabel(SHARES, Seen.SHARED, "app=plugin"), words=WORDS)
SEVENTHS = "all-1g.18gb"
LAYOUTS = {
    "all-disabled": [{"devices": "all", "mig-enabled": False}],
    SEVENTHS: [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.18gb": 7}}],
}
FOUR = {"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}}}
POLICY = {"migManager": {"config": {"name": "layouts"}}, "devicePlugin": {"config": {"name": "shares"}}}


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """A claimed node whose driver says what it was told to (`says`)."""
    monkeypatch.setattr(looking, "LONGEST_PAUSE", 0.02)
    found = FakeKube()
    machine(found)
    found.collections |= {"clusterpolicies"}
    found.put("/apis/nvidia.com/v1/clusterpolicies/policy", {"metadata": {"name": "policy"}, "spec": POLICY})
    space = f"/api/v1/namespaces/{OPERATOR}/configmaps"
    parts = {"config.yaml": json.dumps({"mig-configs": LAYOUTS})}
    found.put(f"{space}/layouts", {"metadata": {"name": "layouts"}, "data": parts})
    shares = {"four": json.dumps(FOUR), "odd": json.dumps({"sharing": {"mps": {"resources": [{}]}}})}
    found.put(f"{space}/shares", {"metadata": {"name": "shares"}, "data": shares})
    claiming.claim(task(found), NODE)
    return found


def says(monkeypatch: pytest.MonkeyPatch, *seeds: Any) -> None:
    """What the driver's tool prints at one look after the other, the last one for ever."""
    rows: Iterator[Any] = iter(seeds)
    now = [next(rows)]

    def ask(
        _kube: Kube, _space: str, nodes: Sequence[str], argv: Sequence[str], *, timeout: float
    ) -> Mapping[str, Ran | str]:
        assert timeout
        text = printed(now[0], tuple(argv[1:]))
        if argv == label.QUERY:
            now[0] = next(rows, now[0])
        return dict.fromkeys(nodes, Ran(text, "", 0))

    monkeypatch.setattr(driver_pod, "ask", ask)


def change(kube: FakeKube, gpus: str = "", **labels: str) -> None:
    obj = kube.objects[NODE_PATH]
    obj["metadata"]["labels"] |= {k.replace("__", "/"): v for k, v in labels.items()}
    if gpus:
        obj["status"]["allocatable"]["nvidia.com/gpu"] = gpus
    kube.put(NODE_PATH, obj)


def labelled(kube: FakeKube, key: str) -> str | None:
    found: str | None = kube.objects[NODE_PATH]["metadata"]["labels"].get(key)
    return found


def bring(kube: FakeKube, after: str, spec: MoverSpec = PARTS) -> Arrived:
    return label.apply(task(kube), NODE, Turn((Moving("layout", "", after, spec),), ends_at=1e12))


def managed(kube: FakeKube, layout: str, *states: str, gpus: str = "56") -> None:
    """Once asked for it, who acts on the label says this at one look of ours after the other, and parts at the last."""
    left = list(states)

    def look(method: str, where: str) -> None:
        if method == "GET" and where == NODE_PATH and left and labelled(kube, LAYOUT) == layout:
            change(kube, **{STATE: left.pop(0), "nvidia.com/mig.strategy": "single"})
            if not left:
                change(kube, gpus=gpus)

    kube.before.append(look)


def test_what_is_there_by_driver_and_offer_is_the_mark_of_the_drivers_load(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, SXM, PARTED)
    managed(kube, SEVENTHS, "pending", "success")
    came = bring(kube, SEVENTHS)
    assert (came.restarted, labelled(kube, LAYOUT)) == (True, SEVENTHS)
    assert came.marks == {"layout": Mark(SEVENTHS, facts.dashed(BOOT), 12.5)}
    assert bring(kube, SEVENTHS).restarted is False


def test_a_success_of_before_counts_for_nothing(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, SXM)
    change(kube, **{STATE: "success"})
    with pytest.raises(NodeFailed, match=r"is not in MIG mode for") as error:
        bring(kube, SEVENTHS)
    assert not isinstance(error.value, NotTold)


def test_a_failure_of_before_is_waited_out_and_one_of_ours_is_a_failure(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, SXM, PARTED)
    change(kube, **{STATE: "failed"})
    managed(kube, SEVENTHS, "failed", "pending", "success")
    assert bring(kube, SEVENTHS).restarted
    says(monkeypatch, PARTED)
    change(kube, **{STATE: "success"})
    kube.before.clear()
    managed(kube, "all-disabled", "pending", "failed")
    with pytest.raises(NodeFailed, match="is failed: layout all-disabled was not made"):
        bring(kube, "all-disabled")


def test_a_failure_where_the_label_was_there_may_be_of_the_layout_before(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed once it had written the label: who acts on it has not begun yet."""
    says(monkeypatch, PARTED)
    change(kube, **{LAYOUT: SEVENTHS, STATE: "failed"})
    managed(kube, SEVENTHS, "failed", "pending", "success")
    assert bring(kube, SEVENTHS).restarted is False


@pytest.mark.parametrize(("app", "value"), [("manager", "true"), ("manager", "false"), ("other", "true")])
def test_no_label_is_written_where_who_acts_on_it_may_boot_the_node(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch, app: str, value: str
) -> None:
    """Its boot would be judged as the machine's own."""
    says(monkeypatch, SXM, PARTED)
    managed(kube, SEVENTHS, "pending", "success")
    containers = [{"name": "m", "image": "m", "env": [{"name": "WITH_REBOOT", "value": value}]}]
    template = {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers}}
    where = f"/apis/apps/v1/namespaces/{OPERATOR}/daemonsets/mig-manager"
    kube.put(where, {"metadata": {"namespace": OPERATOR}, "spec": {"template": template}})
    if (app, value) != ("manager", "true"):
        assert bring(kube, SEVENTHS).restarted
        return
    with pytest.raises(NotTold, match="WITH_REBOOT=true: it would boot the node"):
        bring(kube, SEVENTHS)
    assert labelled(kube, LAYOUT) != SEVENTHS


def test_a_layout_that_is_made_and_not_offered_has_not_come(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, SXM, PARTED)
    managed(kube, SEVENTHS, "pending", "success", gpus="55")
    with pytest.raises(NodeFailed, match="55 of 56 GPUs are allocatable"):
        bring(kube, SEVENTHS)


def test_a_driver_that_can_not_be_asked_says_nothing_of_the_layout(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_args: Any, **_more: Any) -> Mapping[str, Ran | str]:
        return {NODE: "no driver pod runs on it"}

    monkeypatch.setattr(driver_pod, "ask", silent)
    with pytest.raises(NotTold, match="how it is parted now can't be read: no driver pod"):
        bring(kube, SEVENTHS)
    assert labelled(kube, LAYOUT) is None, "nothing is written then"
    change(kube, **{LAYOUT: SEVENTHS, STATE: "success"})
    with pytest.raises(NotTold, match="no driver pod runs on it"):
        bring(kube, SEVENTHS)


def test_each_gpu_is_offered_as_often_as_the_key_says(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, SXM)
    with pytest.raises(NodeFailed, match=r"8 of 32 nvidia\.com/gpu are allocatable"):
        bring(kube, "four", OFFERS)
    change(kube, gpus="32")
    came = bring(kube, "four", OFFERS)
    assert (came.restarted, came.marks["layout"].version) == (False, "four")


@pytest.mark.parametrize(
    ("after", "spec", "why"),
    [
        ("all-2g.35gb", PARTS, "the configuration has no all-2g.35gb; it has all-1g.18gb, all-disabled"),
        ("five", OFFERS, "the configuration has no five; it has four, odd"),
        ("odd", OFFERS, "configuration odd can't be understood"),
    ],
)
def test_what_nobody_could_make_is_not_asked_for(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch, after: str, spec: MoverSpec, why: str
) -> None:
    says(monkeypatch, SXM)
    with pytest.raises(NotTold, match=why):
        bring(kube, after, spec)
    assert spec.label is not None
    assert labelled(kube, spec.label.name) is None


def test_a_node_that_is_not_ours_is_not_labelled(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, SXM)
    kube.put(NODE_PATH, node())
    with pytest.raises(ClaimLost):
        bring(kube, SEVENTHS)
    with pytest.raises(ClaimLost):
        claiming.label(task(kube, fence=f"{RUN}/9"), NODE, LAYOUT, SEVENTHS)
    assert labelled(kube, LAYOUT) is None


def test_a_second_cluster_policy_that_the_operator_ignores_configures_nothing(kube: FakeKube) -> None:
    """Its name may sort first; its status says that another one counts."""
    kube.put(
        "/apis/nvidia.com/v1/clusterpolicies/a-policy",
        {"metadata": {"name": "a-policy"}, "spec": {}, "status": {"state": "ignored"}},
    )
    assert SEVENTHS in gpu_config.read(kube, OPERATOR).mig

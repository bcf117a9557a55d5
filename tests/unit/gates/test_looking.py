"""A node is asked once, and as little as can be; what one way does not show is asked by the next."""

from __future__ import annotations

import pytest
from tests.unit.gates.conftest import BOOT, healthy

from knowngood.adapters.judging.probe_job import Answers
from knowngood.gate import fixtures
from knowngood.gate.fixtures import Journals, same_boot
from knowngood.gate.probing import ports
from knowngood.gate.verdicts import GateInconclusive

SEEN = {"ports": [{"name": "mlx5_0/1"}], "counters": {}}


def test_no_probe_is_sent_for_ports_that_the_driver_pod_shows() -> None:
    def never() -> Answers:
        raise AssertionError("a probe was asked")

    assert ports(healthy(rdma=SEEN), 1, never)["measured"] == SEEN


def test_ports_that_the_driver_pod_does_not_show_are_asked_of_a_probe() -> None:
    """RDMA devices of the host's network namespace are hidden from a pod with its own."""
    result = {"ok": True, "backend": "", "reason": "", "measured": SEEN}
    answered = Answers({"gpu-1": {"bootId": BOOT, "results": {"rdma": result}}})
    assert ports(healthy(), 1, lambda: answered)["measured"] == SEEN
    assert ports(healthy(rdma={"ports": []}), 1, lambda: answered)["measured"] == SEEN
    two = {"ports": [*SEEN["ports"], *SEEN["ports"]]}
    result["measured"] = two
    assert ports(healthy(rdma=SEEN), 2, lambda: answered)["measured"] == two, "some were hidden"
    with pytest.raises(GateInconclusive, match="rebooted"):
        ports(healthy(), 1, lambda: Answers({"gpu-1": {"bootId": "x", "results": {"rdma": result}}}))
    with pytest.raises(GateInconclusive, match="no room"):
        ports(healthy(), 1, lambda: Answers({}, {"gpu-1": "no room"}))


def test_a_node_that_was_rebooted_while_it_was_judged_can_not_be_read() -> None:
    begun = healthy()
    assert same_boot(healthy(), begun) == begun
    plain = BOOT.replace("-", "")
    assert same_boot(healthy(), healthy(boot_id=plain)).reachable, "one boot, told in two ways"
    later = same_boot(healthy(boot_id="another"), begun)
    assert (later.reachable, "rebooted" in later.trouble) == (False, True)


def test_the_present_boots_journal_is_fetched_once_and_an_older_ones_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []

    def fetch(_kube: object, node: str, *, boot: int) -> str:
        asked.append((node, boot))
        return f"{node} {boot}"

    monkeypatch.setattr(fixtures.journals, "read", fetch)
    read: Journals = fixtures.journals_of.__wrapped__(None, {"gpu-1": "told"})  # type: ignore[attr-defined]
    assert [read("gpu-1", 0), read("gpu-1", -1), read("gpu-1", -1), read("gpu-2", 0)] == [
        "told",
        "gpu-1 -1",
        "gpu-1 -1",
        "gpu-2 0",
    ]
    assert asked == [("gpu-1", -1), ("gpu-2", 0)]

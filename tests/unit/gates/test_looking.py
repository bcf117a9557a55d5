"""A node is asked once, and as little as can be; what one way does not show is asked by the next."""

from __future__ import annotations

import pytest
from tests.unit.gates.conftest import BOOT, healthy

from knowngood.adapters.judging.probe_job import Answers
from knowngood.gate.fixtures import same_boot
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

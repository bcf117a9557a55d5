"""What came before a boot of a later turn is counted on that boot: seconds since two boots do not compare."""

from __future__ import annotations

from knowngood.adapters.movers.base import Arrived
from knowngood.adapters.movers.node_work import on_one_boot
from knowngood.model.mover import Mark

BMC, BIOS = Mark("7.20", "b1", 900.0), Mark("2.7", "b2", 40.0)
DRIVER = Mark("595", "b2", 70.0)


def test_what_came_before_a_boot_is_counted_on_that_boot() -> None:
    came = [
        Arrived(restarted=True, held=0, marks={"bmc": BMC}),
        Arrived(restarted=True, held=0, marks={"bios": BIOS}),
    ]
    found = on_one_boot(came)
    assert found == {"bmc": Mark("7.20", "b2", 40.0), "bios": BIOS}
    assert max(found.values(), key=lambda mark: mark.at).boot_id == "b2"


def test_what_came_on_one_boot_stays_as_it_came() -> None:
    came = [
        Arrived(restarted=True, held=0, marks={"bios": BIOS}),
        Arrived(restarted=True, held=0, marks={"nvidia-driver": DRIVER}),
    ]
    assert on_one_boot(came) == {"bios": BIOS, "nvidia-driver": DRIVER}

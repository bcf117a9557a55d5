"""What comes to a node with one drain: each restart in its turn, each proven before the next, and all of it back."""

from __future__ import annotations

from pathlib import Path

from tests.integration.adapters.node_moves import Mover, play
from tests.integration.twin.nic_stage import NEW as NEW_NIC
from tests.integration.twin.nic_stage import NEW_SAYS, OLD_SAYS
from tests.integration.twin.nic_stage import OLD as OLD_NIC
from tests.integration.twin.setting import NEW, OLD


def test_a_nic_driver_a_driver_and_its_settings_come_and_go_with_two_restarts(tmp_path: Path) -> None:
    async def story(on: Mover) -> None:
        await on.with_nic_driver()
        before = await on.claim()
        assert before["marks"]["kernel-module-type"]["version"] == "open"
        assert before["marks"]["doca-ofed"]["version"] == OLD_SAYS
        await on.declare_nic(NEW_NIC)
        await on.declare(version=NEW, kernelModuleType="proprietary")
        wanted = {"nvidia_driver": NEW, "kernel_module_type": "proprietary", "doca_ofed": NEW_NIC}
        marks, figures = await on.apply(**wanted)
        assert {name: mark.version for name, mark in marks.items()} == {
            "nvidia-driver": NEW,
            "kernel-module-type": "proprietary",
            "doca-ofed": NEW_SAYS,
        }
        assert marks["doca-ofed"].at < marks["nvidia-driver"].at == marks["kernel-module-type"].at
        assert (on.loads("mlx5_core")[-1:], on.loads("nvidia")) == ([NEW_SAYS], [NEW])
        assert figures["restarted"] is True
        _, again = await on.apply(**wanted)
        assert again["restarted"] is False
        await on.declare_nic(OLD_NIC)
        await on.declare(version=OLD, kernelModuleType="open")
        back, _ = await on.apply(nvidia_driver=OLD, kernel_module_type="open", doca_ofed=OLD_NIC)
        assert {name: mark.version for name, mark in back.items()} == {
            "nvidia-driver": OLD,
            "kernel-module-type": "open",
            "doca-ofed": OLD_SAYS,
        }
        assert on.loads("nvidia") == [NEW, OLD]

    play(tmp_path, story)

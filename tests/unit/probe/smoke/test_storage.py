"""A checkpoint on the tenants' storage: a volume must be mounted there, take it, and give it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowngood.probe.answer import good
from knowngood.probe.smoke import distributed, storage

# proc_pid_mountinfo(5), its example, and lines of a pod with a claim.
MOUNTS = """36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
2013 1990 0:52 / / ro,relatime - overlay overlay rw
2040 2013 0:61 / /checkpoints rw,relatime - nfs4 isilon.example.com:/ifs/k8s-1 rw,vers=4.1
2041 2013 0:62 / /a\\040place rw shared:5 master:1 - tmpfs tmpfs rw
2042 2013 0:63 / /twice rw - ext4 /dev/sda rw
2043 2013 0:64 / /twice rw - xfs /dev/sdb rw
broken
1 2 3 4 /alone
1 2 3 4 /five - ext4 /dev/sdc rw
1 2 3 4 - ext4 /dev/sdd rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/checkpoints", "nfs4"),
        ("/checkpoints/below", ""),
        ("/check", ""),
        ("/a place", "tmpfs"),
        ("/twice", "xfs"),
        ("/mnt2", "ext3"),
        ("/alone", ""),
        ("/five", "ext4"),
    ],
)
def test_what_is_mounted_is_told_by_the_kernel(tmp_path: Path, folder: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS, encoding="utf-8")
    assert storage.mounted(folder, table) == kind


def run(params: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    orders: list[Any] = []

    def trained(folder: Path, order: Any, *_: object) -> Any:
        orders.append((folder, Path(order["checkpoint"])))
        assert orders[-1][1].is_dir()
        (orders[-1][1] / "checkpoint.pt").write_text("weights", encoding="utf-8")
        return good("cpu", {"ranks": 2})

    monkeypatch.setattr(distributed, "_trained", trained)
    return distributed.run(None, 2, {"backend": "cpu", **params}), orders


def test_a_checkpoint_on_a_volume_is_said_to_be_and_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "mounted", lambda folder: "nfs4" if folder == str(tmp_path) else "")
    found, orders = run({"checkpointFolder": str(tmp_path)}, monkeypatch)
    assert found["measured"] == {"ranks": 2, "checkpointOn": "nfs4"}
    ((_, place),) = orders
    assert place.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    plain, orders = run({}, monkeypatch)
    assert "checkpointOn" not in plain["measured"]
    assert orders[0][1].parent == orders[0][0], "the payload's own folder"


def test_without_a_volume_or_with_one_that_takes_nothing_it_was_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, orders = run({"checkpointFolder": str(tmp_path)}, monkeypatch)
    assert (found["ok"], found["backend"], orders) == (None, "cpu", [])
    assert found["reason"] == f"no volume is mounted at {tmp_path}"
    monkeypatch.setattr(distributed, "mounted", lambda _: "nfs4")
    found, orders = run({"checkpointFolder": str(tmp_path / "gone")}, monkeypatch)
    assert (found["ok"], orders) == (None, [])
    assert "takes no checkpoint: [Errno 2]" in found["reason"]

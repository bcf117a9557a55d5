"""What `nvidia-smi` prints, for the few queries that people type: -L and --query-gpu as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.twin.api.kubelet import ExecResult
from knowngood.twin.host_files import gpu_addresses, stable_id
from knowngood.twin.world import Machine

NO_DRIVER = (
    b"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    b"Make sure that the latest NVIDIA driver is installed and running.\n"
)


def run(machine: Machine, arguments: Sequence[str]) -> ExecResult:
    """Answer one call; the exit codes are the tool's own (9: no driver, 2: not understood here)."""
    driver = machine.driver
    if driver is None:
        return ExecResult(NO_DRIVER, b"", 9)
    addresses = gpu_addresses(machine.seed)
    present = [(addresses.index(gpu), gpu) for gpu in machine.gpus()]
    rows = [
        {
            "index": str(index),
            "name": machine.seed.gpuModel,
            "uuid": f"GPU-{stable_id(machine.name, 'gpu', gpu)}",
            "pci.bus_id": f"0000{gpu.upper()}",
            "driver_version": driver.version,
            "gsp_firmware_version": driver.version,
            "vbios_version": "96.00.cf.00.02",
            "mig.mode.current": "Disabled",
        }
        for index, gpu in present
    ]
    if list(arguments) == ["-L"]:
        lines = [f"GPU {row['index']}: {row['name']} (UUID: {row['uuid']})" for row in rows]
        return ExecResult("".join(f"{line}\n" for line in lines).encode(), b"", 0)
    query = next((a.partition("=")[2] for a in arguments if a.startswith("--query-gpu=")), "")
    fields = [name.strip() for name in query.split(",")]
    if not query or not all(rows and name in rows[0] for name in fields):
        return ExecResult(b"", b"the twin's nvidia-smi knows -L and --query-gpu= only\n", 2)
    head = [] if any("noheader" in a for a in arguments) else [", ".join(fields)]
    lines = head + [", ".join(row[name] for name in fields) for row in rows]
    return ExecResult("".join(f"{line}\n" for line in lines).encode(), b"", 0)

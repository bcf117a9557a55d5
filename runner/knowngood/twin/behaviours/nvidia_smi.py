"""What `nvidia-smi` prints, for the few queries that people type: -L, -q -x, nvlink -s and --query-gpu as CSV."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree as ET

from knowngood.twin import gpu_health
from knowngood.twin.api.kubelet import ExecResult
from knowngood.twin.host_files import gpu_addresses, stable_id
from knowngood.twin.world import Machine

NO_DRIVER = (
    b"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    b"Make sure that the latest NVIDIA driver is installed and running.\n"
)
CUDA = {"550": "12.4", "570": "12.8", "580": "13.0", "595": "13.2", "610": "13.3"}
"""A branch of the driver -> the CUDA version that it shows."""
OLD_DTD = 560
"""Up to here the document is of nvsmi_device_v12.dtd, from here on of v13."""
INFOROM_CORRUPTED = 14  # the exit code
UNKNOWN = b"the twin's nvidia-smi knows -L, -q -x, nvlink -s and --query-gpu= only\n"


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
            "mig.mode.current": "Enabled" if machine.seed.instances else "Disabled",
        }
        for index, gpu in present
    ]
    if list(arguments) == ["-L"]:
        lines = [line for row in rows for line in _listed(machine, row)]
        return ExecResult("".join(f"{line}\n" for line in lines).encode(), b"", 0)
    if list(arguments) == ["-q", "-x"]:
        return _document(machine, present)
    if list(arguments) == ["nvlink", "-s"]:
        return ExecResult(_nvlinks(machine, rows).encode(), b"", 0)
    query = next((a.partition("=")[2] for a in arguments if a.startswith("--query-gpu=")), "")
    fields = [name.strip() for name in query.split(",")]
    if not query or not all(rows and name in rows[0] for name in fields):
        return ExecResult(b"", UNKNOWN, 2)
    head = [] if any("noheader" in a for a in arguments) else [", ".join(fields)]
    lines = head + [", ".join(row[name] for name in fields) for row in rows]
    return ExecResult("".join(f"{line}\n" for line in lines).encode(), b"", 0)


def _document(machine: Machine, present: Iterable[tuple[int, str]]) -> ExecResult:
    """The whole report as XML; behind it what the tool warns of."""
    driver = machine.driver.version if machine.driver else ""
    branch = driver.partition(".")[0]
    root = ET.Element("nvidia_smi_log")
    gpus = [_values(machine, minor, gpu) for minor, gpu in present]
    head = {
        "timestamp": time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime()),
        "driver_version": driver,
        "cuda_version": CUDA.get(branch, "13.3"),
        "attached_gpus": str(len(gpus)),
    }
    for name, text in head.items():
        ET.SubElement(root, name).text = text
    for values in gpus:
        gpu = ET.SubElement(root, "gpu", {"id": values["pci/pci_bus_id"]})
        _fill(gpu, values)
        _mig_devices(gpu, machine.seed.instances)
    ET.indent(root, "\t")
    version = 12 if branch.isdigit() and int(branch) < OLD_DTD else 13
    dtd = f'<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v{version}.dtd">'
    corrupt = [v["pci/pci_bus_id"][4:] for v in gpus if v[gpu_health.INFOROM] == "N/A"]
    text = f'<?xml version="1.0" ?>\n{dtd}\n{ET.tostring(root, encoding="unicode")}\n'
    text += "".join(f"WARNING: infoROM is corrupted at gpu {address}\n" for address in corrupt)
    return ExecResult(text.encode(), b"", INFOROM_CORRUPTED if corrupt else 0)


def _mig_devices(gpu: ET.Element, instances: int) -> None:
    """Its MIG devices, as the kernel's files number them: one compute instance each."""
    place = gpu.find("mig_devices")
    if place is None or not instances:
        return
    place.text = None
    for number in range(instances):
        device = ET.SubElement(place, "mig_device")
        told = {"index": number, "gpu_instance_id": number, "compute_instance_id": 0}
        for name, value in told.items():
            ET.SubElement(device, name).text = str(value)


def _listed(machine: Machine, row: Mapping[str, str]) -> list[str]:
    """A GPU's lines of -L: itself, and its MIG devices with their profile."""
    profile, uuid = machine.seed.migConfig.removeprefix("all-"), row["uuid"]
    made = [f"{machine.partings}:"] if machine.partings else []  # each parting makes others
    devices = [
        f"  MIG {profile:<12}Device {number:>2}: (UUID: MIG-{stable_id(uuid, 'mig', *made, str(number))})"
        for number in range(machine.seed.instances)
    ]
    return [f"GPU {row['index']}: {row['name']} (UUID: {row['uuid']})", *devices]


def _values(machine: Machine, minor: int, gpu: str) -> dict[str, str]:
    driver = machine.driver.version if machine.driver else ""
    uuid = f"GPU-{stable_id(machine.name, 'gpu', gpu)}"
    values = gpu_health.values(machine.seed, gpu, minor, uuid, driver)
    return values | {path: text for path, text in machine.ails(gpu).items() if path in values}


def _fill(element: ET.Element, values: Mapping[str, str]) -> None:
    """Path -> text as nested elements; a folder that is there already is gone on with."""
    for path, text in values.items():
        place = element
        for name in path.split("/"):
            last = place[-1] if len(place) else None
            place = last if last is not None and last.tag == name else ET.SubElement(place, name)
        place.text = text


def _nvlinks(machine: Machine, rows: Iterable[Mapping[str, str]]) -> str:
    """A GPU's links, one a line. Without NVSwitch, and in MIG mode, there is none."""
    lines, links = [], machine.seed.nvswitch and not machine.seed.instances
    for row in rows:
        lines.append(f"GPU {row['index']}: {row['name']} (UUID: {row['uuid']})")
        ails = machine.ails(row["pci.bus_id"].lower()[4:])
        rate = gpu_health.LINK_RATE_5 if " B" in row["name"] else gpu_health.LINK_RATE
        rates = {n: ails.get(f"{gpu_health.LINK}{n}", rate) for n in range(gpu_health.LINKS)}
        none = ["\t Unable to retrieve NVLink information as all links are inActive"]
        lines += [f"\t Link {n}: {rate}" for n, rate in rates.items()] if links else none
    return "".join(f"{line}\n" for line in lines)

"""What a GPU node's kernel shows: the text of files in /proc, /sys and /usr. Pure; world.py writes them.

Formats: the NVIDIA open kernel module's procfs (version, params, gpus/*/information), the kernel's
sysfs for InfiniBand (Documentation/ABI/stable/sysfs-class-infiniband) and PCI. Serial values are invented
but stable: they follow from the node's name.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from knowngood.twin.seed import NodeSeed

GPU_BUSES = (0x18, 0x2A, 0x3A, 0x5D, 0x9A, 0xAB, 0xBA, 0xDB, 0x19, 0x2B, 0x3B, 0x5E, 0x9B, 0xAC, 0xBB, 0xDC)
NIC_BUSES = (0x1C, 0x2E, 0x3E, 0x61, 0x9E, 0xAF, 0xBE, 0xDF, 0x1D, 0x2F, 0x3F, 0x62, 0x9F, 0xB0, 0xBF, 0xE0)
MEMORY_PEER = "sys/kernel/mm/memory_peers/nv_mem"
OPEN = "open"
PROPRIETARY = "proprietary"
COUNTERS = (
    "excessive_buffer_overrun_errors",
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "port_rcv_constraint_errors",
    "port_rcv_data",
    "port_rcv_errors",
    "port_rcv_packets",
    "port_rcv_remote_physical_errors",
    "port_rcv_switch_relay_errors",
    "port_xmit_constraint_errors",
    "port_xmit_data",
    "port_xmit_discards",
    "port_xmit_packets",
    "port_xmit_wait",
    "symbol_error",
    "VL15_dropped",
)
HW_COUNTERS = (
    "duplicate_request",
    "local_ack_timeout_err",
    "np_cnp_sent",
    "out_of_sequence",
    "packet_seq_err",
    "req_cqe_error",
    "req_remote_access_errors",
    "req_transport_retries_exceeded",
    "resp_cqe_error",
    "resp_remote_access_errors",
    "rnr_nak_retry_err",
    "rp_cnp_handled",
    "rx_icrc_encapsulated",
)
PCI_LINK = {
    f"{which}_link_{what}": value
    for which in ("current", "max")
    for what, value in (("speed", "32.0 GT/s PCIe"), ("width", "16"))
}
PORT_UP = {"state": "4: ACTIVE", "phys_state": "5: LinkUp"}
PORT_DOWN = {"state": "1: DOWN", "phys_state": "2: Polling"}
# R595 dropped GrdmaPciTopoCheckOverride (facts: NVIDIA/aicr); the set of keys changes with the driver.
PARAMS = (
    "ResmanDebugLevel: 4294967295",
    "RmLogonRC: 1",
    "ModifyDeviceFiles: 1",
    "DeviceFileUID: 0",
    "DeviceFileGID: 0",
    "DeviceFileMode: 438",
    "InitializeSystemMemoryAllocations: 1",
    "UsePageAttributeTable: 4294967295",
    "EnableMSI: 1",
    "EnablePCIeGen3: 0",
    "MemoryPoolSize: 0",
    "KMallocHeapMaxSize: 0",
    "VMallocHeapMaxSize: 0",
    "IgnoreMMIOCheck: 0",
    "EnableStreamMemOPs: 0",
    "EnableUserNUMAManagement: 1",
    "NvLinkDisable: 0",
    "PreserveVideoMemoryAllocations: 0",
    "EnableS0ixPowerManagement: 0",
    "DynamicPowerManagement: 3",
    "RegisterPCIDriver: 1",
    "EnableResizableBar: 0",
    "EnableGpuFirmware: 18",
    "EnableDbgBreakpoint: 0",
    "OpenRmEnableUnsupportedGpus: 1",
    "DmaRemapPeerMmio: 1",
    'RegistryDwords: ""',
    'RmMsg: ""',
    'GpuBlacklist: ""',
    'TemporaryFilePath: ""',
    'ExcludedGpus: ""',
)
DROPPED_IN_595 = "GrdmaPciTopoCheckOverride: 0"

Files = dict[str, str]


def gpu_addresses(node: NodeSeed) -> list[str]:
    """The PCI addresses of its GPUs, in order."""
    return [f"0000:{bus:02x}:00.0" for bus in GPU_BUSES[: node.gpus]]


def nic_address(index: int) -> str:
    """The PCI address of its NIC mlx5_<index>."""
    return f"0000:{NIC_BUSES[index]:02x}:00.0"


def stable_id(*parts: str) -> str:
    """A UUID that follows from the parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)))


def banner(version: str, flavour: str) -> str:
    """The name and build that the module prints: `NVIDIA UNIX Open Kernel Module for x86_64  580... `."""
    kind = "UNIX Open Kernel Module for x86_64" if flavour == OPEN else "UNIX x86_64 Kernel Module"
    return f"NVIDIA {kind}  {version}  Release Build  (dvs-builder@U22-I3-AM02-24-3)  Mon Jun 29 12:00:00 UTC 2026"


PSID = "MT_0000000838"
"""The board of each NIC."""
NIC_TYPE = "1021"
"""Its PCI device id, by which templates select it."""


def firmware(node: NodeSeed) -> Files:
    """DMI and PCI devices: what is there without any driver."""
    vendor = "Dell Inc." if node.product.startswith("PowerEdge") else "Supermicro"
    files = {
        "sys/class/dmi/id/product_name": f"{node.product or 'PowerEdge R760'}\n",
        "sys/class/dmi/id/sys_vendor": f"{vendor}\n",
        "sys/class/dmi/id/bios_version": "2.6.3\n",
        "etc/hostname": f"{node.name}\n",
        **uplink("eno1", "tg3"),
    }
    vendor_id, _, device_id = (node.gpuPciId or "10de:233b").partition(":")
    files["proc/bus/pci/devices"] = "".join(
        f"{address[5:7]}00\t{ids}\t0\n"
        for addresses, ids in (
            (gpu_addresses(node), f"{vendor_id}{device_id}"),
            (map(nic_address, range(node.nics)), f"15b3{NIC_TYPE}"),
        )
        for address in addresses
    )
    for index, address in enumerate(gpu_addresses(node)):
        files |= _pci(address, vendor_id, device_id, "0x030200", index * 2 // max(node.gpus, 1))
    for index in range(node.nics):
        files |= _pci(nic_address(index), "15b3", NIC_TYPE, "0x020700", index * 2 // max(node.nics, 1))
    return files


def uplink(port: str, driver: str) -> Files:
    """The node's own way to the network: its default route, and the driver of the port that it goes by."""
    names = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    return {
        "proc/net/route": f"{names}{port}\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
        f"sys/class/net/{port}/device/uevent": f"DRIVER={driver}\n",
    }


def nic(node: NodeSeed, index: int) -> Files:
    """One InfiniBand device with its only port, active."""
    root = f"sys/class/infiniband/mlx5_{index}"
    port = f"{root}/ports/1"
    guid = stable_id(node.name, "nic", str(index)).replace("-", "")[:16]
    hca_type, rate = (
        ("MT4131", "800 Gb/sec (4X XDR)") if "8" in node.nicModel else ("MT4129", "400 Gb/sec (4X NDR)")
    )
    files = {
        f"{root}/fw_ver": f"{node.nicFirmware}\n",
        f"{root}/hca_type": f"{hca_type}\n",
        f"{root}/board_id": f"{PSID}\n",
        f"{root}/node_guid": ":".join(guid[i : i + 4] for i in range(0, 16, 4)) + "\n",
        f"{root}/device/uevent": f"DRIVER=mlx5_core\nPCI_SLOT_NAME={nic_address(index)}\n",
        f"{root}/device/sriov_numvfs": "0\n",
        **{f"{root}/device/{name}": f"{value}\n" for name, value in PCI_LINK.items()},
        f"{port}/rate": f"{rate}\n",
        f"{port}/link_layer": "InfiniBand\n",
    }
    files |= {f"{port}/{name}": f"{value}\n" for name, value in PORT_UP.items()}
    files |= {f"{port}/counters/{name}": "0\n" for name in COUNTERS}
    files |= {f"{port}/hw_counters/{name}": "0\n" for name in HW_COUNTERS}
    return files


def pci(index: int) -> str:
    """Where the kernel keeps a NIC's own files."""
    return f"sys/bus/pci/devices/{nic_address(index)}"


def virtual_function(index: int, number: int) -> str:
    """Where it keeps those of one of its virtual functions: a link on a host, a folder here."""
    return f"{pci(index)}/virtfn{number}"


def functions(index: int, count: int) -> Files:
    """What a NIC's own files say of so many virtual functions, each with its driver."""
    bus = nic_address(index).rpartition(":")[0]
    found = {f"{pci(index)}/sriov_numvfs": f"{count}\n"}
    for number in range(count):
        slot, function = divmod(number + 2, 8)
        found[f"{virtual_function(index, number)}/uevent"] = (
            f"DRIVER=mlx5_core\nPCI_SLOT_NAME={bus}:{slot:02x}.{function}\n"
        )
    return found


def symbols(*, nic: bool, gpu: bool) -> Files:
    """Of /proc/kallsyms what tells of DMA-BUF: the kernel's own, and those of drivers that are loaded."""
    lines = ["T linux_banner", "T pci_p2pdma_distance_many"]
    lines += ["t mlx5_ib_reg_user_mr_dmabuf\t[mlx5_ib]"] if nic else []
    lines += ["t nv_dma_buf_export\t[nvidia]"] if gpu else []
    return {"proc/kallsyms": "".join(f"0000000000000000 {line}\n" for line in lines)}


def memory_peer(version: str) -> Files:
    """What OFED's ib_core lists of nvidia_peermem while it is loaded."""
    return {f"{MEMORY_PEER}/version": f"{version}\n", f"{MEMORY_PEER}/num_alloc_mrs": "0\n"}


def module(name: str, version: str) -> Files:
    """A loaded kernel module without users."""
    return {f"sys/module/{name}/version": f"{version}\n", f"sys/module/{name}/refcnt": "0\n"}


def in_tree(name: str, kernel: str) -> Files:
    """A loaded module of the kernel's own: it has no version, only the checksum of its source."""
    checksum = stable_id(name, kernel).replace("-", "")[:23].upper()
    return {f"sys/module/{name}/srcversion": f"{checksum}\n", f"sys/module/{name}/refcnt": "0\n"}


def nvidia_proc(node: NodeSeed, version: str, flavour: str, gpus: list[str]) -> Files:
    """/proc/driver/nvidia while the module is loaded."""
    params = list(PARAMS)
    if _major(version) < 595:
        params.insert(20, DROPPED_IN_595)
    files = {
        "proc/driver/nvidia/version": f"NVRM version: {banner(version, flavour)}\n"
        "GCC version:  gcc version 11.4.1 20231218 (Red Hat 11.4.1-3) (GCC)\n",
        "proc/driver/nvidia/params": "".join(f"{line}\n" for line in params),
    }
    for minor, name in enumerate(("config", "monitor"), start=1):
        files[f"proc/driver/nvidia/capabilities/mig/{name}"] = capability(minor)
    for minor, address in enumerate(gpu_addresses(node)):
        if address in gpus:
            files |= _information(node, address, minor, version, flavour)
            files |= _mig_devices(node, minor)
    return files


def _mig_devices(node: NodeSeed, gpu: int) -> Files:
    """A GPU's MIG instances as the driver lists them, each with one compute instance."""
    root = f"proc/driver/nvidia/capabilities/gpu{gpu}/mig"
    found = {}
    for number in range(node.instances):
        minor = 3 + 9 * (gpu * 7 + number)
        found[f"{root}/gi{number}/access"] = capability(minor)
        found[f"{root}/gi{number}/ci0/access"] = capability(minor + 1)
    return found


def capability(minor: int) -> str:
    """What a file under /proc/driver/nvidia/capabilities says."""
    return f"DeviceFileMinor: {minor}\nDeviceFileMode: 256\nDeviceFileModify: 1\n"


def kernel_release(node: NodeSeed) -> Files:
    """/proc/version."""
    text = f"Linux version {node.kernel} (mockbuild@builder) (gcc (GCC) 11.4.1 20231218) #1 SMP PREEMPT_DYNAMIC\n"
    return {"proc/version": text}


def os_release(values: Mapping[str, str]) -> Files:
    """/etc/os-release."""
    return {"etc/os-release": "".join(f'{key}="{value}"\n' for key, value in values.items())}


def _information(node: NodeSeed, address: str, minor: int, version: str, flavour: str) -> Files:
    rows = {
        "Model": node.gpuModel,
        "IRQ": str(300 + minor),
        "GPU UUID": f"GPU-{stable_id(node.name, 'gpu', address)}",
        "Video BIOS": "96.00.cf.00.02",
        "Bus Type": "PCIe",
        "DMA Size": "52 bits",
        "DMA Mask": "0xfffffffffffff",
        "Bus Location": address,
        "Device Minor": str(minor),
        "GPU Firmware": version if flavour == OPEN else "N/A",
        "GPU Excluded": "No",
    }
    text = "".join(f"{key}: \t {value}\n" for key, value in rows.items())
    return {f"proc/driver/nvidia/gpus/{address}/information": text}


def _pci(address: str, vendor: str, device: str, kind: str, numa: int) -> Files:
    root = f"sys/bus/pci/devices/{address}"
    return {
        f"{root}/vendor": f"0x{vendor}\n",
        f"{root}/device": f"0x{device}\n",
        f"{root}/class": f"{kind}\n",
        f"{root}/numa_node": f"{numa}\n",
    }


def _major(version: str) -> int:
    head = version.split(".", maxsplit=1)[0]
    return int(head) if head.isdigit() else 0

"""How GPU memory reaches the NIC, and what on this host shows it.

A loaded module or a version number alone shows no DMA-BUF: the kernel may lack PCI peer-to-peer DMA (talos#12021), the
NIC's driver the registration. What shows it, best first: a GPU buffer that a NIC is attached to now
(debugfs dma_buf/bufinfo); the symbols of the running kernel, of the NIC's and of the GPU's module (/proc/kallsyms);
the kernel's own config. Where none of them can be read, the vendor's build of a kernel stands in for its config.

Names: Linux drivers/pci/p2pdma.c, drivers/infiniband/hw/mlx5/mr.c, NVIDIA/open-gpu-kernel-modules
kernel-open/nvidia/nv-dmabuf.c; NVIDIA/nccl src gdr.cc:18-33 for memory_peers.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from knowngood.probe.host import Host

DMA_BUF, PEERMEM, NONE = "dma-buf", "nvidia-peermem", "none"
PEERS = "sys/kernel/mm/memory_peers"
"""Where the OFED ib_core lists who gives it other memory than the host's; its kernel has no such folder else."""
PEER_NAMES = ("nv_mem", "nvidia-peermem", "nvidia_peermem")
PEER_MODULES = ("nvidia_peermem", "nv_peer_mem")
BUFFERS = "sys/kernel/debug/dma_buf/bufinfo"
SYMBOLS = "proc/kallsyms"
ALWAYS_THERE = "linux_banner"
"""A symbol of every kernel: with it the list was read, and what it lacks is not there."""
NEEDED = {
    "pci_p2pdma_distance_many": "the kernel has no PCI peer-to-peer DMA (CONFIG_PCI_P2PDMA)",
    "mlx5_ib_reg_user_mr_dmabuf": "the NIC's driver registers no DMA-BUF",
    "nv_dma_buf_export": "the GPU's driver exports no DMA-BUF",
}
CONFIGURED = ("PCI_P2PDMA", "DMA_SHARED_BUFFER")
_WITH_P2PDMA = re.compile(r"\.el(?:9|1\d)(?:_\d+)?(?:\.x86_64)?$")
"""Red Hat's builds from 9 on, x86: "basically enabled on all large x86 distros" (Linux commit 7ffb791423c7)."""
_MOST_CONFIG = 4 * 1024 * 1024
"""Bytes of a kernel's config, unpacked: they have some 300,000."""
_DMA_BUF_KERNEL = (5, 12)  # NVIDIA GPU Operator documentation, gpu-operator-rdma


class Way(NamedTuple):
    """`mode` is "" where it can't be told; `by`: what shows it; `trouble`: why it can't be told, or is not shown."""

    mode: str
    by: str
    trouble: str = ""


def way(host: Host) -> Way:
    """The way that GPU memory takes to the NICs, as far as this host shows it."""
    if not host.module_version():
        return Way("", "", "the nvidia module is not loaded")
    peers = [n for n in host.names(PEERS) if n.startswith(PEER_NAMES)]
    if peers:
        return Way(PEERMEM, f"/{PEERS}/{peers[0]}")
    loaded = [m for m in PEER_MODULES if m in host.names("sys/module")]
    if loaded:
        return Way(PEERMEM, "", f"{loaded[0]} is loaded, but /{PEERS} lists no peer of NVIDIA's")
    flavour = host.text("proc/driver/nvidia/version")
    if not flavour:
        return Way("", "", "can't read which kernel modules the GPU driver has")
    if "Open Kernel Module" not in flavour:
        return Way(NONE, "the proprietary kernel modules export no DMA-BUF")
    return _dma_buf(host)


def _dma_buf(host: Host) -> Way:
    if _attached(host):
        return Way(DMA_BUF, f"a NIC is attached to a GPU's buffer in /{BUFFERS}")
    release = re.search(r"Linux version ([\w.+~-]{1,64})(?!\S)", host.text("proc/version") or "", re.ASCII)
    kernel = release.group(1) if release else ""
    config = _config(host, kernel)
    for name in CONFIGURED if config is not None else ():
        if not _has(config or "", name):
            return Way("", "", f"the kernel's config has no CONFIG_{name}: GPU memory may not reach the NIC")
    read = host.matching(SYMBOLS, (ALWAYS_THERE, *NEEDED))
    if read is not None and any(ALWAYS_THERE in line.split() for line in read):
        here = {word for line in read for word in line.split()}
        lacking = [why for symbol, why in NEEDED.items() if symbol not in here]
        return Way("", "", lacking[0]) if lacking else Way(DMA_BUF, f"symbols of /{SYMBOLS}")
    if not _new_enough(kernel):
        return Way(
            "", "", f"nothing shows DMA-BUF, and Linux {kernel or '?'} is none that is known to have it"
        )
    if config is not None:
        return Way(DMA_BUF, "CONFIG_PCI_P2PDMA in the kernel's config")
    if _WITH_P2PDMA.search(kernel):
        return Way(DMA_BUF, f"kernel {kernel} is Red Hat's build, which has CONFIG_PCI_P2PDMA")
    return Way(
        "", "", f"nothing shows DMA-BUF: no config and no symbols of kernel {kernel or '?'} can be read"
    )


def _attached(host: Host) -> bool:
    """Whether a NIC holds a buffer that the GPU driver exported.

    A buffer's row ends with its exporter, inode and name; the devices that are attached to it follow, one a line.
    """
    exporter = ""
    nics = {_slot(host, device) for device in host.names("sys/class/infiniband")} - {""}
    for line in (host.text(BUFFERS) or "").splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].isdigit():
            exporter = words[4]
        elif exporter == "nvidia" and len(words) == 1 and words[0] in nics:
            return True
    return False


def _slot(host: Host, device: str) -> str:
    found = re.search(
        r"^PCI_SLOT_NAME=(\S+)$", host.text(f"sys/class/infiniband/{device}/device/uevent") or "", re.M
    )
    return found.group(1) if found else ""


def _config(host: Host, kernel: str) -> str | None:
    """The config of the running kernel; None where it can't be read."""
    packed = host.data("proc/config.gz")
    if packed:
        try:
            return zlib.decompressobj(31).decompress(packed, _MOST_CONFIG).decode("utf-8", "replace")
        except zlib.error:
            pass
    places = (f"boot/config-{kernel}", f"usr/lib/modules/{kernel}/config", f"lib/modules/{kernel}/config")
    found = [text for place in places if kernel and (text := host.text(place))]
    return found[0] if found and "CONFIG_" in found[0] else None


def _has(config: str, name: str) -> bool:
    return re.search(rf"^CONFIG_{name}=[ym]$", config, re.M) is not None


def _new_enough(kernel: str) -> bool:
    numbers = re.match(r"(\d{1,4})\.(\d{1,4})", kernel)
    return numbers is not None and (int(numbers.group(1)), int(numbers.group(2))) >= _DMA_BUF_KERNEL

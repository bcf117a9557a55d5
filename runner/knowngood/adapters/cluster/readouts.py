"""What a node's files say: which are read through the driver pod, and how their lines are understood. Pure.

One command reads them all, since each is a request: `find` names what is there and lets `grep` print it. exec has no
shell, so the paths are spelled out. They travel in the request's URL: together they stay well under the 8 KiB that a
proxy in front of an API server takes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from knowngood.model.mover import Shown, Specs
from knowngood.model.node import NOT_LOADED, PCI_IDS
from knowngood.model.values import Object, Values
from knowngood.planner.moving import VERSION
from knowngood.probe import gpudirect
from knowngood.probe import rdma as ports
from knowngood.probe.host import Host

Lines = Mapping[str, list[str]]
"""A file's path -> its lines, as `grep -H` printed them."""

DEVICES = "/sys/class/infiniband"
LIBRARIES = "/usr/lib64"
MODULES = ("mlx5_core", "mlx5_ib", "rpcrdma", "nvidia_fs", "nvidia_peermem", "gdrdrv")
"""Kernel modules of RDMA, NFS over RDMA and GPUDirect. rpcrdma has no version of its own, only a srcversion."""
CAPABILITIES = "/proc/driver/nvidia/capabilities"
"""The driver's own list of MIG instances: gpu<minor>/mig/gi<n>/ci<n>/access (NVIDIA's MIG user guide)."""
FABRIC_MANAGER = "/var/run/nvidia-fabricmanager/nv-fabricmanager.pid"
"""Where the driver container's own script looks for a Fabric Manager that it started."""
SYMBOLS = f"/{gpudirect.SYMBOLS}"
IDENTITY = ("fw_ver", "board_id", "hca_type", "node_guid")
LINK = ("current_link_speed", "current_link_width", "max_link_speed", "max_link_width")
SLOT = ("uevent", "sriov_numvfs", "physfn", "sfnum", *LINK)
"""What is read of an RDMA device and of its place on the PCI bus; a virtual function's physical one by its address."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
UPTIME = "/proc/uptime"
PCI_DEVICES = "/proc/bus/pci/devices"
"""One line a device: bus and function, then vendor and device, in hexadecimal (the kernel's drivers/pci/proc.c)."""
PRODUCT = "/sys/class/dmi/id/product_name"
BIOS = "/sys/class/dmi/id/bios_version"
FILES = (
    BOOT_ID,
    UPTIME,
    "/proc/version",
    "/proc/driver/nvidia/version",
    "/proc/driver/nvidia/gpus",
    f"/{gpudirect.PEERS}",
    CAPABILITIES,
    FABRIC_MANAGER,
    "/sys/module/nvidia/version",
    *(f"/sys/module/{name}/{file}" for name in MODULES for file in ("version", "srcversion", "refcnt")),
    PCI_DEVICES,
    PRODUCT,
    BIOS,
)
"""Files and folders that are read whole."""
SECOND_BOARD, SECOND_FIRMWARE = "nic-firmware-connectx-6-dx", "22."
"""The NIC that stands beside the profile's, for storage say, and how its versions begin."""
DEEP = 5
"""Folders below the paths above: an MIG instance's file, a port's counter."""
_LINE = re.compile(
    r"(?P<path>/proc/driver/nvidia/gpus/[^/]+/[a-z]+|/sys/bus/pci/devices/[^/]+/[^:]+|/[^:]+):(?P<text>.*)"
)
_LIBCUDA = re.compile(rf"^{LIBRARIES}/libcuda\.so\.(\d+\.\d[\d.]*)$", re.MULTILINE)
_INSTANCE = re.compile(CAPABILITIES + r"/(?P<gpu>gpu\d+)/mig/(?P<instance>gi\d+(?:/ci\d+)?)/access$")
_NIC = re.compile(r"/sys/class/infiniband/(?P<device>[^/]+)/(?P<file>.+)$")


def command(*, with_ports: bool = False, more: Iterable[str] = ()) -> list[str]:
    """What prints a node's files as `grep -H` does, and the names of its libcuda; `with_ports`: RDMA ports, too.

    `more`: further files.

    Of an RDMA device nothing else is touched: some of what lies beside is slow to read, or acts when it is.
    """
    device, behind = f"{DEVICES}/*/*", f"{DEVICES}/*/device/*"
    wanted = _but(IDENTITY if with_ports else ("fw_ver",))
    wanted += ["!", "-path", f"{device[:-1]}device*"]
    wanted += ["!", "-path", f"{device[:-1]}ports*"] if with_ports else []
    tables = ["-name", "gids", "-o", "-name", "gid_attrs", "-o", "-name", "pkeys"]
    symbols = [word for name in (gpudirect.ALWAYS_THERE, *gpudirect.NEEDED) for word in ("-e", name)]
    return [
        *("find", "-L", *dict.fromkeys((*FILES, *more)), SYMBOLS, LIBRARIES, DEVICES, "-maxdepth", str(DEEP)),
        *("(", "-path", f"{LIBRARIES}/*", "-prune", "(", "-name", "libcuda.so.*.*", "-print", "-o", "-true"),
        *(")", ")", "-o", "(", "-path", SYMBOLS, "-exec", "grep", "-sHwF", *symbols, "{}", "+", ")"),
        *("-o", "(", "-path", device, *wanted, "-prune", ")"),
        *("-o", "(", "-path", f"{behind[:-1]}physfn/*", *_but(("uevent",)), "-prune", ")"),
        *("-o", "(", "-path", behind, *_but(SLOT if with_ports else SLOT[:2]), "-prune", ")"),
        *("-o", "(", "(", *tables, ")", "-prune", ")"),
        *("-o", "(", "-type", "f", "-exec", "grep", "-sH", "", "{}", "+", ")"),
    ]


def _but(names: Iterable[str]) -> list[str]:
    return [word for name in names for word in ("!", "-name", name)]


def parse_grep(text: str) -> dict[str, list[str]]:
    """`grep -H` output as path -> lines. PCI addresses in paths have colons: the path ends at a known name."""
    read: dict[str, list[str]] = {}
    for line in text.split("\n"):
        match = _LINE.match(line)
        if match:
            read.setdefault(match["path"], []).append(match["text"])
    return read


def first(read: Lines, path: str) -> str:
    """A file's first line, "" where it was not read."""
    lines = read.get(path)
    return lines[0].strip() if lines else ""


def gpu_of(path: str) -> str:
    """The PCI address in a path under /proc/driver/nvidia/gpus, "" for another path."""
    head, _, tail = path.partition("/proc/driver/nvidia/gpus/")
    return tail.partition("/")[0] if not head and tail else ""


def gpus(read: Lines) -> tuple[str, ...]:
    """The PCI addresses of the driver's GPUs, sorted."""
    return tuple(sorted({gpu_of(p) for p in read if gpu_of(p)}))


def versions(read: Lines, printed: str) -> dict[str, str]:
    """What runs, by component; a component that can't be told is absent. `printed`: with the names of libraries."""
    banner = first(read, "/proc/driver/nvidia/version")
    flavour = ""
    if banner:
        flavour = "open" if "Open Kernel Module" in banner else "proprietary"
    kernel = re.match(r"Linux version (\S+)", first(read, "/proc/version"))
    found = {
        "nvidia-driver": first(read, "/sys/module/nvidia/version"),
        "nvidia-user-space": _one(_LIBCUDA.findall(printed)),
        "gsp-firmware": _one(rows.get("GPU Firmware", "") for rows in _information(read).values()),
        "doca-ofed": first(read, "/sys/module/mlx5_core/version"),
        "gds": first(read, "/sys/module/nvidia_fs/version"),
        **_nic_firmware(read),
        "kernel-module-type": flavour,
        "rdma-mode": rdma_mode(read),
        "bios": first(read, BIOS),
        "rhcos-kernel": kernel.group(1) if kernel else "",
    }
    return {component: version for component, version in found.items() if version}


def shown(read: Lines, shows: Iterable[Shown]) -> str:
    """What runs by a mover's `shows`: the first whose files are there with their words; "" where none is."""
    for one in shows:
        if all(any(words in line for line in read.get(path, ())) for path, words in one.files.items()):
            return first(read, next(iter(one.files))) if one.version == VERSION else one.version
    return ""


def files_of(specs: Specs) -> tuple[str, ...]:
    """The files by which movers tell what runs, each once."""
    every = (path for spec in specs.values() for one in spec.shows for path in one.files)
    return tuple(dict.fromkeys(every))


def rdma_mode(read: Lines) -> str:
    """How GPU memory reaches the NIC, as far as these files show it: `probe.gpudirect`."""
    return ports.mode(_Printed(read))


def of_kubelet(info: Values) -> dict[str, str]:
    """What a node's nodeInfo tells beside its kernel: Kubernetes, and Talos where it is that."""
    kubelet = re.fullmatch(r"v?(\d+\.\d+\.\d+\S*)", str(info.get("kubeletVersion") or ""))
    talos = re.fullmatch(r"Talos \(v?(\d+\.\d+\.\d+)\)", str(info.get("osImage") or ""))
    found = {"kubernetes": kubelet, "talos": talos}
    return {component: match.group(1) for component, match in found.items() if match}


def inventory(read: Lines) -> dict[str, dict[str, str]]:
    """What the kernel lists, by kind; a kind that could not be read is absent, one with nothing in it is empty."""
    found = {
        "gpus": _placement(read),
        "rdma-devices": _rdma_devices(read),
        "vfs": {device: lines[0].strip() for device, lines in _nic_files(read, "device/sriov_numvfs")},
        "modules": _modules(read),
        "fabric-manager": {"nv-fabricmanager": "running"} if first(read, FABRIC_MANAGER) else {},
    }
    kinds = {kind: things for kind, things in found.items() if things}
    # The driver shows this file wherever it knows of MIG at all: only with it is an empty list an answer.
    if f"{CAPABILITIES}/mig/config" in read:
        kinds["mig"] = _mig(read)
    return kinds


def machine(read: Lines) -> dict[str, str]:
    """Facts of the machine itself."""
    found = {"product": first(read, PRODUCT), PCI_IDS: _pci_ids(read)}
    return {fact: text for fact, text in found.items() if text}


def _pci_ids(read: Lines) -> str:
    """Vendor and device of the driver's GPUs, as the kernel's table tells them; "" where it was not read.

    It has no domains: of two devices at one place in different domains it can't say which is the GPU.
    """
    ids: dict[str, set[str]] = {}
    for words in (line.lower().split() for line in read.get(PCI_DEVICES, ())):
        if len(words) > 1:
            ids.setdefault(words[0], set()).add(words[1])
    found = (there for gpu in gpus(read) if len(there := ids.get(_place(gpu), set())) == 1)
    return _one(f"{one[:4]}:{one[4:]}" for there in found for one in there if len(one) == 8)


def _place(address: str) -> str:
    """A PCI address as that table has it: bus, then device and function in one; it knows no domains."""
    bus, _, rest = address.partition(":")[2].partition(":")
    slot, _, function = rest.partition(".")
    try:
        return f"{int(bus, 16):02x}{int(slot, 16) << 3 | int(function or '0', 16):02x}"
    except ValueError:
        return ""


def rdma(read: Lines) -> Object:
    """RDMA ports and their counters, as a probe would measure them on the node; empty where no port was seen.

    Where RDMA devices belong to network namespaces, the driver pod sees none although the node has some.
    """
    found = ports.run(_Printed(read), {})
    return dict(found["measured"]) if found["ok"] else {}


class _Printed(Host):
    """A host as it was printed. A file that could not be read, or that is empty, is not there."""

    def __init__(self, read: Lines) -> None:
        super().__init__(Path("/"))
        self._read = read
        self._names: dict[str, set[str]] = {}
        for file in read:
            folder = file
            while folder:
                folder, _, name = folder.rpartition("/")
                self._names.setdefault(folder, set()).add(name)

    def text(self, path: str) -> str | None:
        """See Host."""
        lines = self._read.get(f"/{path}")
        return None if lines is None else "\n".join(lines).strip()

    def data(self, path: str, most: int = 0) -> bytes | None:
        """See Host."""
        text = self.text(path)
        return None if text is None else text.encode()

    def matching(self, path: str, words: Collection[str]) -> list[str] | None:
        """See Host; only such lines were printed."""
        return self._read.get(f"/{path}")

    def names(self, path: str) -> list[str]:
        """See Host."""
        return sorted(self._names.get(f"/{path}", ()))


def _information(read: Lines) -> dict[str, dict[str, str]]:
    """PCI address -> the rows that the driver prints of that GPU."""
    found: dict[str, dict[str, str]] = {}
    for path, lines in read.items():
        if (gpu := gpu_of(path)) and path.endswith("/information"):
            rows = (line.partition(":") for line in lines)
            found[gpu] = {key.strip(): value.strip() for key, _, value in rows}
    return found


def _placement(read: Lines) -> dict[str, str]:
    """PCI address -> minor and UUID. The UUID's first 48 bits tell GPUs apart, and thousands of nodes are kept so."""
    found = {}
    for gpu, rows in sorted(_information(read).items()):
        uuid = "-".join(rows.get("GPU UUID", "").split("-")[:3])
        minor = rows.get("Device Minor", "")
        if uuid and minor:
            found[gpu] = f"minor {minor}, {uuid}"
    return found


def _mig(read: Lines) -> dict[str, str]:
    """GPU -> its GPU and compute instances. Their numbers follow from size and place on the GPU."""
    found: dict[str, list[str]] = {}
    for path in read:
        if match := _INSTANCE.match(path):
            found.setdefault(match["gpu"], []).append(match["instance"])
    return {gpu: " ".join(sorted(instances)) for gpu, instances in sorted(found.items())}


def _nic_files(read: Lines, file: str) -> Iterator[tuple[str, list[str]]]:
    for path, lines in read.items():
        match = _NIC.match(path)
        if match and match["file"] == file:
            yield match["device"], lines


def _nic_firmware(read: Lines) -> dict[str, str]:
    """What the NICs run; those of a second board, which is a component of its own, apart.

    Several versions of one component are listed with their NICs, so that they equal no release's.
    """
    found: dict[str, list[str]] = {}
    for device, lines in sorted(_nic_files(read, "fw_ver")):
        found.setdefault(lines[0].strip(), []).append(device)
    boards = {SECOND_BOARD if v.startswith(SECOND_FIRMWARE) else "nic-firmware" for v in found if v}
    told: dict[str, dict[str, list[str]]] = {}
    for version, devices in sorted(found.items()):
        second = version.startswith(SECOND_FIRMWARE) and len(boards) > 1
        if version:
            told.setdefault(SECOND_BOARD if second else "nic-firmware", {})[version] = devices
    return {component: _with_nics(versions) for component, versions in told.items()}


def _with_nics(versions: Mapping[str, Sequence[str]]) -> str:
    """The version that all NICs have; of several each with its NICs."""
    if len(versions) == 1:
        return next(iter(versions))
    more = {version: f" and {len(nics) - 1} more" if nics[1:] else "" for version, nics in versions.items()}
    return ", ".join(f"{version} of {nics[0]}{more[version]}" for version, nics in versions.items())


def _rdma_devices(read: Lines) -> dict[str, str]:
    """Device -> its PCI address and firmware; not virtual functions, which may come back under other names.

    Only a physical function has a file that counts its virtual ones. Where none has, there are no virtual ones either.
    """
    physical = {device for device, _ in _nic_files(read, "device/sriov_numvfs")}
    slots = {}
    for device, lines in _nic_files(read, "device/uevent"):
        rows = dict(line.split("=", 1) for line in lines if "=" in line)
        slots[device] = rows.get("PCI_SLOT_NAME", "")
    firmware = {device: lines[0].strip() for device, lines in _nic_files(read, "fw_ver")}
    devices = sorted(d for d in firmware if slots.get(d) and (d in physical or not physical))
    return {d: f"{slots[d]}, firmware {firmware[d]}" for d in devices}


def _modules(read: Lines) -> dict[str, str]:
    """Module -> version, else srcversion, else `loaded`; `not loaded`. Empty where /sys/module could not be read."""
    if not any(path.startswith("/sys/module/") for path in read):
        return {}
    found = {}
    for name in MODULES:
        version, source, users = (
            first(read, f"/sys/module/{name}/{file}") for file in ("version", "srcversion", "refcnt")
        )
        here = version or (f"srcversion {source}" if source else "loaded")
        found[name] = here if version or source or users else NOT_LOADED
    return found


def _one(values: Iterable[str]) -> str:
    """The value that all share; several different ones are listed, so that they equal no release's."""
    return ", ".join(sorted({v.strip() for v in values if v.strip()}))

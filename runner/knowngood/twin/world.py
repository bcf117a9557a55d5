"""The machines: one root directory a node, changed as boots, drivers and faults change a real host.

World knows nothing of Kubernetes. What it does to a node it also writes to the event log and, where a kernel
would, to the node's journal.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from knowngood.twin import gpu_health, host_files
from knowngood.twin.events import EventLog
from knowngood.twin.host_files import Files
from knowngood.twin.journal import Journal
from knowngood.twin.nic_driver import NIC, NicDriver
from knowngood.twin.pool import Pool, put
from knowngood.twin.seed import NodeSeed, Seed

DRIVER_STATE = "run/nvidia/nvidia-driver.state"
JOURNAL = "var/log/journal.jsonl"
POOL = "same"
"""In the state folder: originals of files that many hosts have alike."""
FABRIC_MANAGER = "var/run/nvidia-fabricmanager/nv-fabricmanager.pid"
IN_A_POD = "0::/kubepods.slice/kubepods-besteffort.slice/crio-0.scope\n"
"""The cgroup of whoever asks for its own: it runs in a pod."""
GPU_MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset")
WITH_NVIDIA = ("nvidia_peermem", "nvidia_fs", "gdrdrv", "nvidia")
"""In the order in which they go: those before it need it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A module in the kernel now. at: seconds since the epoch.

    abi: which NIC driver's symbols it was built against, "" where that does not matter.
    """

    version: str
    flavour: str
    at: float
    abi: str = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """An operating system to boot into. kernel, kubelet: their versions, "" as before. release: /etc/os-release."""

    kernel: str
    kubelet: str
    release: Mapping[str, str]


class Machine:
    """One host: its root directory, boot, driver and GPUs."""

    def __init__(
        self,
        seed: NodeSeed,
        root: Path,
        events: EventLog,
        os_release: Mapping[str, str],
        pool: Pool | None = None,
    ) -> None:
        self.seed = seed
        self.release = os_release
        self.kubelet = ""  # its version, "" as the seed says
        self._staged: Staged | None = None
        self._pool = pool or Pool(root.parent / POOL)
        self.root = root
        self._base = str(root)
        self._folders: set[str] = set()  # that exist already
        self.up = True
        self.boot_id = ""
        self.booted_at = 0.0
        self.modules: dict[str, Loaded] = {}
        self.held = False  # nvidia_peermem, by something else than a pod
        self.came: set[str] = set()  # versions of the GPU driver that it has loaded ever
        self.burned = ""  # NIC firmware that a reset or a boot activates, "" what runs
        self.keeps_firmware = False  # whatever is burned: only taking its power away would activate it
        self.nic = NicDriver(self)
        self.journal = Journal(root / JOURNAL, seed.name)
        self._events = events
        self.partings = 0  # how often its GPUs were parted anew
        self.by_label = (
            False  # somebody parts its GPUs as a label says; then a module that goes takes the layout along
        )
        self._lost: set[str] = set()
        self._ailing: dict[tuple[str, str], None] = {}  # (ailment, GPU)
        self.at_boot: list[Callable[[], None]] = []  # what a boot brings that waits for one
        self.watchers: set[Callable[[], None]] = set()
        """Called after each change of the host's files; each once, then forgotten."""
        self.write_files(host_files.firmware(seed))
        self._install()

    @property
    def name(self) -> str:
        """The node's name."""
        return self.seed.name

    @property
    def driver(self) -> Loaded | None:
        """The GPU driver in the kernel now."""
        return self.modules.get("nvidia")

    def loaded(self, version: str, flavour: str = "", abi: str = "") -> Loaded:
        """A module that is loaded now."""
        return Loaded(version, flavour, time.time(), abi)

    def tell(self, event: str, module: str, version: str) -> None:
        """Note in the event log that a module came or went, and for which NIC driver it was built."""
        loaded = self.modules.get(module)
        abi = loaded.abi if loaded else ""
        self._events.write(event, self.name, module=module, version=version, abi=abi, bootId=self.boot_id)

    def stage(self, system: Staged) -> None:
        """The next boot is into this operating system."""
        self._staged = system

    def _install(self) -> None:
        self.write_files(host_files.kernel_release(self.seed) | host_files.os_release(self.release))

    def boot(self, cause: str) -> None:
        """Start the host: new boot id, only the modules that it loads by itself, all devices back."""
        if self._staged is not None:
            self.seed = replace(self.seed, kernel=self._staged.kernel or self.seed.kernel)
            self.release, self.kubelet, self._staged = self._staged.release, self._staged.kubelet, None
            self._install()
        self._activate()
        for bring in self.at_boot:
            bring()
        self.boot_id = str(uuid.uuid4())
        self.booted_at = time.time()
        self.up = True
        self._lost.clear()
        self._ailing = {k: None for k in self._ailing if k[0] not in gpu_health.CURED_BY_BOOT}
        self.modules.clear()
        self.held = False
        self._forget_driver()
        self.remove(["run", FABRIC_MANAGER, "sys/module"])
        self.write_files(
            {"proc/sys/kernel/random/boot_id": f"{self.boot_id}\n", "proc/self/cgroup": IN_A_POD}
        )
        self.tick()
        self.kernel(f"Linux version {self.seed.kernel} (mockbuild@builder) #1 SMP PREEMPT_DYNAMIC")
        self._events.write("booted", self.name, bootId=self.boot_id, cause=cause)
        self.nic.boot()

    def burn(self, version: str) -> None:
        """Write a firmware into all of its NICs; they run what they ran."""
        self.burned = version
        self._events.write("nic-firmware-burned", self.name, version=version)

    def reset_nics(self) -> None:
        """mlxfwreset: the NICs start anew, with what was burned."""
        self._activate()
        self.nic.reset()
        self._events.write("nics-reset", self.name, version=self.seed.nicFirmware)

    def _activate(self) -> None:
        if self.burned and not self.keeps_firmware:
            self.seed = replace(self.seed, nicFirmware=self.burned)

    def tick(self) -> None:
        """Bring /proc/uptime up to now; called before anything reads the host."""
        seconds = max(0.0, time.time() - self.booted_at)
        self.write_files({"proc/uptime": f"{seconds:.2f} {seconds * 60:.2f}\n"})

    def kernel(self, message: str, priority: int = 6) -> None:
        """The kernel prints a line."""
        self.journal.kernel(message, boot_id=self.boot_id, booted_at=self.booted_at, priority=priority)

    def load_driver(self, version: str, flavour: str) -> None:
        """Load the nvidia modules of a version; the banner goes to the kernel log."""
        self.modules["nvidia"] = self.loaded(version, flavour, abi=self.nic.version)
        self.came.add(version)
        self.write_files(host_files.nvidia_proc(self.seed, version, flavour, self.gpus()))
        for module in GPU_MODULES:
            self.write_files(host_files.module(module, version))
        self.show_symbols()
        self.kernel("nvidia: loading out-of-tree module taints kernel.", 4)
        self.kernel("nvidia-nvlink: Nvlink Core is being initialized, major device number 510")
        self.kernel(f"NVRM: loading {host_files.banner(version, flavour)}")
        self.tell("module-loaded", "nvidia", version)

    def unload_driver(self) -> None:
        """Take the nvidia modules out, with everything they show."""
        if self.driver is None:
            return
        version = self.driver.version
        self._forget_driver()
        self.kernel("nvidia-nvlink: Unregistered Nvlink Core, major device number 510")
        self.tell("module-unloaded", "nvidia", version)

    def install_user_space(self, version: str) -> None:
        """Install libcuda of a version; any other version's goes."""
        for old in (self.root / "usr/lib64").glob("libcuda.so.*"):
            old.unlink()
        self.write_files({f"usr/lib64/libcuda.so.{version}": f"libcuda {version}\n"})

    def start_fabric_manager(self) -> None:
        """The driver container starts it where there are NVSwitches."""
        if self.seed.nvswitch:
            self.write_files({FABRIC_MANAGER: "4711\n"})

    def gpus(self) -> list[str]:
        """Addresses of the GPUs that answer."""
        return [gpu for gpu in host_files.gpu_addresses(self.seed) if gpu not in self._lost]

    def devices(self, gpus: int) -> int:
        """What the device plugin offers of so many GPUs: the GPUs, or their MIG devices, each so often."""
        return gpus * (self.seed.instances or 1) * self.seed.replicas

    def part(self, layout: str) -> None:
        """Part all GPUs otherwise: "" is without MIG. Other instances come in the place of those that were there."""
        self._forget_layout(layout)
        if self.driver:
            self.remove(["proc/driver/nvidia/capabilities"])
            self.write_files(
                host_files.nvidia_proc(self.seed, self.driver.version, self.driver.flavour, self.gpus())
            )
        self._events.write("parted", self.name, layout=layout)

    def share(self, replicas: int) -> None:
        """Offer each GPU, or MIG device, so often from now on."""
        self.seed = replace(self.seed, replicas=replicas)
        self._events.write("shared", self.name, replicas=replicas)

    def _forget_layout(self, layout: str = "") -> None:
        self.partings += 1
        self.seed = replace(self.seed, migConfig=layout)

    def lose_gpu(self, address: str) -> None:
        """The GPU falls off the bus; only a boot brings it back."""
        self._lost.add(address)
        self.remove([f"proc/driver/nvidia/gpus/{address}", f"sys/bus/pci/devices/{address}"])

    def ail(self, ailment: str, gpu: str) -> None:
        """Something is wrong with a GPU, as the driver tells it."""
        self._ailing[ailment, gpu] = None

    def heal(self, ailment: str) -> None:
        """It is repaired on all GPUs."""
        self._ailing = {k: None for k in self._ailing if k[0] != ailment}

    def ails(self, gpu: str) -> dict[str, str]:
        """What is otherwise than on a healthy GPU, by path."""
        found: dict[str, str] = {}
        for ailment, whose in self._ailing:
            found |= gpu_health.AILMENTS[ailment] if whose == gpu else {}
        return found

    def load_peermem(self, users: int) -> None:
        """Load the legacy nvidia_peermem with that many users: GPUDirect no longer goes by DMA-BUF."""
        driver = self.driver or self.loaded("")
        self.modules["nvidia_peermem"] = self.loaded(driver.version, abi=driver.abi)
        self.write_files(host_files.module("nvidia_peermem", driver.version))
        self.write_files({"sys/module/nvidia_peermem/refcnt": f"{users}\n"})
        if self.nic.version:
            self.write_files(host_files.memory_peer(driver.version))
        self.tell("module-loaded", "nvidia_peermem", driver.version)

    def load_beside(self, module: str, version: str) -> None:
        """Load a module that was built with the GPU driver: nvidia_fs or gdrdrv."""
        abi = self.driver.abi if self.driver else ""
        self.modules[module] = self.loaded(version, abi=abi)
        self.write_files(host_files.module(module, version))
        self.tell("module-loaded", module, version)

    def built_against(self, nic: str) -> None:
        """The GPU driver turns out to be built against that NIC driver."""
        if self.driver:
            self.modules["nvidia"] = replace(self.driver, abi=nic)

    def hold_peermem(self) -> None:
        """Somebody holds a reference to nvidia_peermem: it can't be taken out before the next boot."""
        self.held = True
        self.write_files({"sys/module/nvidia_peermem/refcnt": "1\n"})

    def release_peermem(self) -> None:
        """The pods that used nvidia_peermem are gone; who holds it otherwise stays."""
        if "nvidia_peermem" in self.modules and not self.held:
            self.write_files({"sys/module/nvidia_peermem/refcnt": "0\n"})

    def set_port(self, nic: int, values: Mapping[str, str]) -> None:
        """Change files of a NIC's port: state, phys_state, counters/link_downed, ..."""
        port = f"sys/class/infiniband/mlx5_{nic}/ports/1"
        self.write_files({f"{port}/{name}": f"{value}\n" for name, value in values.items()})

    def count(self, nic: int, counter: str, by: int = 1) -> None:
        """Add to a counter of a NIC's port."""
        value = int(self.read(f"sys/class/infiniband/mlx5_{nic}/ports/1/counters/{counter}") or 0)
        self.set_port(nic, {f"counters/{counter}": str(value + by)})

    def read(self, path: str) -> str:
        """A file's text without its line end; "" where there is none."""
        try:
            return (self.root / path).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def write(self, path: str, text: str) -> None:
        """Write one file of the host."""
        self.write_files({path: text})

    def open_gpu(self, pid: int, name: str, cgroup: str) -> None:
        """A process of the host opens the first GPU."""
        self.write_files({f"proc/{pid}/comm": f"{name}\n", f"proc/{pid}/cgroup": f"0::{cgroup}\n"})
        device = self.root / f"proc/{pid}/fd/3"
        device.parent.mkdir(exist_ok=True)
        if not device.is_symlink():
            device.symlink_to("/dev/nvidia0")

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files or folders; what is not there is fine."""
        for path in paths:
            target = self.root / path
            if target.is_dir():
                gone = str(target)
                self._folders = {f for f in self._folders if f != gone and not f.startswith(f"{gone}/")}
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        self._changed()

    def _changed(self) -> None:
        watchers, self.watchers = self.watchers, set()
        for told in watchers:
            told()

    def _forget_driver(self) -> None:
        if self.by_label and self.seed.migConfig:
            self._forget_layout()
        for name in WITH_NVIDIA:
            if (gone := self.modules.pop(name, None)) and name != "nvidia":
                self.tell("module-unloaded", name, gone.version)
        modules = [f"sys/module/{name}" for name in (*GPU_MODULES, *WITH_NVIDIA)]
        self.remove(["proc/driver/nvidia", host_files.MEMORY_PEER, *modules])
        self.show_symbols()

    def show_symbols(self) -> None:
        """Bring /proc/kallsyms up to the modules that are loaded."""
        self.write_files(host_files.symbols(nic=NIC in self.modules, gpu=self.driver is not None))

    def write_files(self, files: Files) -> None:
        """Write files of the host, each whole: path below the root -> text."""
        fresh: set[str] = set()  # folders made just now: nobody reads there yet
        for path, text in files.items():
            target = os.path.join(self._base, path)  # noqa: PTH118 (a boot writes hundreds of files)
            folder = os.path.dirname(target)  # noqa: PTH120
            if folder not in self._folders:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
                self._folders.add(folder)
                fresh.add(folder)
            if folder in fresh:
                self._pool.make(target, text)
                continue
            # A reader sees the old text or the new one: the kernel's files are never half written.
            partial = f"{folder}/.{os.path.basename(target)}.new"  # noqa: PTH119
            put(partial, text)
            os.rename(partial, target)  # noqa: PTH104
        self._changed()


class World:
    """All machines of a cluster."""

    def __init__(self, seed: Seed, state_dir: Path, events: EventLog, os_release: Mapping[str, str]) -> None:
        self.events = events
        self.folder = state_dir
        self.machines: dict[str, Machine] = {}
        pool = Pool(state_dir / POOL)
        for node in seed.nodes:
            if node.machine:
                root = state_dir / "nodes" / node.name / "root"
                root.mkdir(parents=True, exist_ok=True)
                self.machines[node.name] = Machine(node, root, events, os_release, pool)

    def boot(self) -> None:
        """Power on every machine."""
        for machine in self.machines.values():
            machine.boot("power-on")

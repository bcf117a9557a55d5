"""The NIC driver of a host: mlx5_core and what comes and goes with it.

DOCA-OFED prints the lines of its compatibility module when it is loaded, the kernel's own driver does not. Ports,
counters and virtual functions are kept over a reload: the first two live in the adapter, the last are put back by
who reloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowngood.twin import host_files
from knowngood.twin.host_files import Files

if TYPE_CHECKING:
    from knowngood.twin.world import Machine

NIC, NFS, PEERMEM = "mlx5_core", "rpcrdma", "nvidia_peermem"
NIC_MODULES = (NIC, "mlx5_ib")
OFED_READY = "run/mellanox/drivers/.driver-ready"
"""The DOCA container's mark: its driver is loaded and the network as it was."""
CLASS = "sys/class/infiniband"
COUNT = "sriov_numvfs"
TREE = "mlnx_ofed/mlnx-ofa_kernel-4.0.git"
SAYS = {"25.10-1.2.8": "25.10-1.2.2"}
"""What a module says of itself, where that is not its package's version (network-operator#3104)."""
SYMBOLS = ("ib_register_peer_memory_client", "ib_unregister_peer_memory_client")


class ModuleError(Exception):
    """A module can't be inserted or removed; the message is modprobe's."""


class NicDriver:
    """The NIC driver of one machine. `version` is "" while it is the kernel's own, or none."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._at_boot = machine.seed.docaOfed
        self._functions: dict[int, int] = {}  # virtual ones, by adapter
        self._counters: Files = {}

    @property
    def version(self) -> str:
        """DOCA-OFED in the kernel now, as mlx5_core says it."""
        loaded = self._machine.modules.get(NIC)
        return loaded.version if loaded else ""

    @property
    def nfs(self) -> bool:
        """Whether NFS over RDMA is loaded."""
        return NFS in self._machine.modules

    def boot(self) -> None:
        """Load what the host loads by itself."""
        self._functions, self._counters = {}, {}
        self._forget_functions()
        if self._machine.seed.nics:
            self.load(self._at_boot)
            if NFS in self._machine.seed.modules:
                self.load_nfs()

    def left_to_a_pod(self) -> None:
        """A container brings DOCA-OFED from now on: after a boot the host has the kernel's own driver again."""
        self._at_boot = ""

    def load(self, version: str) -> None:
        """Load the driver: DOCA-OFED of a version, "" the kernel's own. Every adapter appears anew."""
        machine = self._machine
        machine.modules[NIC] = machine.loaded(version)
        for name in NIC_MODULES:
            in_tree = host_files.in_tree(name, machine.seed.kernel)
            said = host_files.module(name, SAYS.get(version, version))
            machine.write_files(said if version else in_tree)
        if version:
            commit = host_files.stable_id(version)[:7]
            machine.kernel(f"Compat-mlnx-ofed backport release: {commit}")
            machine.kernel(f"Backport based on {TREE} {commit}")
            machine.kernel(f"compat.git: {TREE}")
        self._appear()
        machine.show_symbols()
        machine.tell("module-loaded", NIC, version)

    def reset(self) -> None:
        """Every adapter starts anew under the driver that is loaded; what it had of virtual functions comes back."""
        self._keep()
        self._appear()
        self.restore_vfs()

    def functions(self, index: int) -> int:
        """How many virtual functions an adapter has now, as its own file says; 0 while it is not there."""
        return int(self._machine.read(f"{CLASS}/mlx5_{index}/device/{COUNT}") or 0)

    def set_functions(self, index: int, count: int) -> None:
        """Give an adapter so many virtual functions: those that it has go first, as the kernel wants it."""
        machine, address = self._machine, host_files.nic_address(index)
        if had := self.functions(index):
            machine.kernel(f"mlx5_core {address}: E-Switch: Unload vfs: mode(LEGACY), nvfs({had})")
        machine.remove([host_files.virtual_function(index, n) for n in range(had)])
        machine.write_files({f"{CLASS}/mlx5_{index}/device/{COUNT}": f"{count}\n"})
        machine.write_files(host_files.functions(index, count))
        if count:
            machine.kernel(
                f"mlx5_core {address}: E-Switch: Enable: mode(LEGACY), nvfs({count}), necvfs(0),"
                f" active vports({count + 1})"
            )

    def _forget_functions(self) -> None:
        for index in range(self._machine.seed.nics):
            had = self._machine.read(f"{host_files.pci(index)}/{COUNT}")
            self._machine.remove([host_files.virtual_function(index, n) for n in range(int(had or 0))])
            self._machine.write_files(host_files.functions(index, 0))

    def _appear(self) -> None:
        machine = self._machine
        for index in range(machine.seed.nics):
            machine.write_files(host_files.nic(machine.seed, index))
            address = host_files.nic_address(index)
            machine.kernel(f"mlx5_core {address}: firmware version: {machine.seed.nicFirmware}")
        machine.write_files(self._counters)

    def unload(self) -> None:
        """Take the driver out, with NFS over RDMA and every adapter. ModuleError: something holds it."""
        machine = self._machine
        if PEERMEM in machine.modules:
            raise ModuleError("rmmod: ERROR: Module ib_uverbs is in use by: nvidia_peermem")
        if NIC not in machine.modules:
            return
        if self.nfs:
            self._remove(NFS, NFS)
        self._keep()
        for index in range(machine.seed.nics):
            machine.kernel(f"mlx5_core {host_files.nic_address(index)}: E-Switch: cleanup")
        self._forget_functions()
        machine.remove([f"{CLASS}/mlx5_{index}" for index in range(machine.seed.nics)])
        self._remove(NIC, *NIC_MODULES)

    def restore_vfs(self) -> None:
        """Put back the virtual functions that were there when the driver was taken out."""
        for index, count in self._functions.items():
            self.set_functions(index, count)

    def load_nfs(self) -> None:
        """Load NFS over RDMA; it is of the NIC driver that is loaded."""
        machine = self._machine
        machine.modules[NFS] = machine.loaded("", abi=self.version)
        machine.write_files(host_files.in_tree(NFS, self.version or machine.seed.kernel))
        machine.kernel("RPC: Registered rdma transport module.")
        machine.tell("module-loaded", NFS, "")

    def insert_peermem(self) -> None:
        """modprobe nvidia_peermem, as it was built with the GPU driver. ModuleError: built for another NIC driver."""
        machine = self._machine
        driver = machine.driver
        if driver is None:
            raise ModuleError("modprobe: FATAL: Module nvidia-peermem not found")
        if driver.abi != self.version:
            for symbol in SYMBOLS:
                machine.kernel(f"{PEERMEM}: disagrees about version of symbol {symbol}", 4)
                machine.kernel(f"{PEERMEM}: Unknown symbol {symbol} (err -22)", 4)
            raise ModuleError(f"modprobe: ERROR: could not insert '{PEERMEM}': Invalid argument")
        machine.load_peermem(users=0)

    def remove_peermem(self) -> None:
        """rmmod nvidia_peermem. ModuleError: it is in use."""
        machine = self._machine
        if PEERMEM not in machine.modules:
            return
        if machine.read(f"sys/module/{PEERMEM}/refcnt") not in {"", "0"}:
            raise ModuleError(f"rmmod: ERROR: Module {PEERMEM} is in use")
        self._remove(PEERMEM, PEERMEM)

    def _keep(self) -> None:
        """Remember what a reload does not change."""
        root = self._machine.root
        self._functions, self._counters = {}, {}
        for index in range(self._machine.seed.nics):
            device = f"{CLASS}/mlx5_{index}"
            if count := self.functions(index):
                self._functions[index] = count
            port = f"{device}/ports/1/counters"  # those in hw_counters are queues', and begin anew
            for file in (root / port).glob("*"):
                if (text := self._machine.read(f"{port}/{file.name}")) != "0":
                    self._counters[f"{port}/{file.name}"] = f"{text}\n"
            downed = f"{port}/link_downed"  # the port goes down with its driver
            self._counters[downed] = f"{int(self._machine.read(downed) or 0) + 1}\n"

    def _remove(self, name: str, *folders: str) -> None:
        gone = self._machine.modules.pop(name)
        self._machine.remove([f"sys/module/{folder}" for folder in folders])
        if name == PEERMEM:
            self._machine.remove([host_files.MEMORY_PEER])
        self._machine.show_symbols()
        self._machine.tell("module-unloaded", name, gone.version)

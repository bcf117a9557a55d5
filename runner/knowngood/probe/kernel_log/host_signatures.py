"""Severe messages of the host below GPUs and NICs, as in `signatures`: PCIe, IOMMU, processors, memory, the kernel."""

from __future__ import annotations

from knowngood.probe.kernel_log.codes import Action
from knowngood.probe.kernel_log.signature import (
    ADDRESS,
    AMD_EVENT,
    BDF,
    FUNCTION,
    HOST,
    IOMMU_FAULT,
    LINUX,
    Signature,
)

_OF_DEVICE = rf"\S+ {FUNCTION}: "
"""As the kernel names any PCI device: its driver, and its address."""
_AT = r"(?P<address>(?:[0-9a-f]{4}:)?(?:0x)?[0-9a-f]{2}:(?:0x)?[0-9a-f]{2})\.(?P<function>[0-7])"
"""As an IOMMU names a device that it knows no driver of: Intel's, and AMD's before Linux 6.0, without the domain."""
_NVS = "NVIDIA/NVSentinel docs/nic-health-monitor"

OF_THE_HOST = (
    Signature(
        "netdev-watchdog",
        HOST,
        Action.WATCH,
        rf"(?:\S+ {BDF}\.[0-7] \S+: )?NETDEV WATCHDOG: .*timed out",
        f"{LINUX} sch_generic.c",
    ),
    Signature(
        "pcie-downgraded",
        HOST,
        Action.WATCH,
        rf"{_OF_DEVICE}.*available PCIe bandwidth, limited by ",
        f"{LINUX} drivers/pci/pci.c",
    ),
    Signature(
        "pcie-downgraded",
        HOST,
        Action.WATCH,
        rf"{_OF_DEVICE}.*(?:downgraded|retraining failed|link speed .*reduced)",
        f"{LINUX} drivers/pci/quirks.c",
    ),
    Signature(
        "aer-uncorrected",
        HOST,
        Action.FAULT,
        rf"{_OF_DEVICE}(?:(?:AER: )?PCIe Bus Error: severity=Uncorrect\w+"
        r"|AER: (?:(?:Multiple )?Uncorrect\w+ (?:\(\S+\) )?error|device recovery failed|can't recover))",
        f"{LINUX} drivers/pci/pcie/aer.c",
    ),
    Signature(
        "aer-corrected",
        HOST,
        Action.INFO,
        rf"{_OF_DEVICE}(?:(?:AER: )?PCIe Bus Error: severity=Correct\w+"
        r"|AER: (?:Multiple )?Correct\w+ (?:\(\S+\) )?error)",
        f"{LINUX} drivers/pci/pcie/aer.c",
    ),
    Signature(
        "pcie-link-down",
        HOST,
        Action.FAULT,
        rf"pcieport {ADDRESS}: (?:pciehp|DPC): .*(?:Link Down|not present|containment event)",
        f"{LINUX} drivers/pci/hotplug/pciehp_ctrl.c, pcie/dpc.c",
    ),
    # --- the IOMMU, which stops what a device must not reach: the device named by its driver, or by its address alone
    Signature(
        IOMMU_FAULT,
        HOST,
        Action.WATCH,
        rf"(?:iommu ivhd\d+: |pci {BDF}\.[0-7]: )?AMD-Vi: Event logged \[\w+ device={_AT}",
        f"{LINUX} drivers/iommu/amd/iommu.c",
    ),
    Signature(
        IOMMU_FAULT,
        HOST,
        Action.WATCH,
        rf"DMAR: ?\[(?:DMA (?:Read|Write)|INTR-REMAP)[^\]]*\] Request device \[{_AT}\]",
        f"{LINUX} drivers/iommu/intel/dmar.c",
    ),
    Signature(
        IOMMU_FAULT,
        HOST,
        Action.WATCH,
        rf"arm-smmu-v3 \S+: event(?: 0x[0-9a-f]+ received|: \w+ client: {_AT} )",
        f"{LINUX} drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c",
    ),
    Signature(
        IOMMU_FAULT,
        HOST,
        Action.WATCH,
        rf"vfio-pci {AMD_EVENT}",
        f"{LINUX} drivers/iommu/amd/iommu.c",
    ),
    Signature(  # a disk's, a USB controller's: seen on machines that work
        "iommu-fault-elsewhere",
        HOST,
        Action.INFO,
        rf"\S+ {AMD_EVENT}",
        "pop-os/pop #853; Dasharo/dasharo-issues #1134",
    ),
    Signature(
        "iommu-timeout",
        HOST,
        Action.WATCH,
        r"AMD-Vi: Completion-Wait loop timed out|DMAR: VT-d detected Invalidation \S+ Error",
        f"{LINUX} drivers/iommu/amd/iommu.c, intel/dmar.c",
    ),
    Signature(
        "machine-check",
        HOST,
        Action.FAULT,
        r"(?:mce: )?(?:\{\d+\})?\[Hardware Error\]: .*(?:Machine Check Exception"
        r"|event severity: (?:fatal|recoverable|panic)|Uncorrected|Fatal|PANIC)|EDAC \S+: \d+ UE\b"
        r"|mce: Uncorrected hardware memory error",
        f"{LINUX} arch/x86/kernel/cpu/mce, drivers/acpi/apei/ghes.c",
    ),
    Signature(
        "machine-check-corrected",
        HOST,
        Action.INFO,
        r"(?:\{\d+\})?\[Hardware Error\]: .*(?:event severity: (?:corrected|info)|Corrected error)"
        r"|EDAC \S+: \d+ CE\b",
        f"{LINUX} drivers/acpi/apei/ghes.c, drivers/edac",
    ),
    Signature(
        "machine-check-logged",
        HOST,
        Action.WATCH,
        r"mce: (?:\[Hardware Error\]: )?Machine check events logged",
        f"{LINUX} arch/x86/kernel/cpu/mce/core.c",
    ),
    Signature(
        "hung-task",
        HOST,
        Action.WATCH,
        r"INFO: task \S.*blocked for more than \d+ seconds",
        f"{LINUX} kernel/hung_task.c",
    ),
    Signature(
        "rcu-stall",
        HOST,
        Action.WATCH,
        r"(?:rcu: )?INFO: rcu\w* (?:self-)?detected (?:expedited )?stall",
        f"{LINUX} kernel/rcu/tree_stall.h",
    ),
    Signature(
        "lockup",
        HOST,
        Action.FAULT,
        r"(?:NMI )?watchdog: (?:BUG: soft lockup|Watchdog detected hard LOCKUP)|BUG: soft lockup",
        f"{LINUX} kernel/watchdog.c",
    ),
    Signature("panic", HOST, Action.HOLD, r"Kernel panic - not syncing", f"{LINUX} kernel/panic.c"),
    Signature(
        "oops",
        HOST,
        Action.HOLD,
        r"(?:BUG: (?:kernel NULL pointer|unable to handle)|Oops: |Internal error: |Unable to handle kernel "
        r"|kernel BUG at |BUG: Bad page"
        r"|(?:general protection fault|invalid opcode|stack segment|double fault|divide error)\b.* \[#\d+\])",
        f"{LINUX} arch/x86/mm/fault.c, arch/arm64/kernel/traps.c",
    ),
)

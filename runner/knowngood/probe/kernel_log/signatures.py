"""Severe messages without a number, as data.

A message is matched from its start, after `messages.joined` made one line of it. `ADDRESS` names the device where the
message does. The first one that matches counts, so the worse ones of a driver come first.
"""

from __future__ import annotations

from knowngood.probe.kernel_log.codes import Action
from knowngood.probe.kernel_log.host_signatures import OF_THE_HOST
from knowngood.probe.kernel_log.signature import ADDRESS, AMD_EVENT, GPU, IOMMU_FAULT, LINUX, NIC, Signature

_OF_GPU = rf"(?:GPU ?(?:at )?(?:PCI:)?-?{ADDRESS}:? |GPU ?\d+:? )?"
_MLX5 = rf"mlx5_(?:core|ib|en)?:? ?(?:{ADDRESS}(?: \S+)?: )?(?:\S+:\d+:\(pid \d+\): )?"
_OPEN = "NVIDIA/open-gpu-kernel-modules"
_NVS = "NVIDIA/NVSentinel docs/nic-health-monitor"

SIGNATURES = (
    Signature(
        "fallen-off-bus",
        GPU,
        Action.REBOOT,
        rf"NVRM: {_OF_GPU}(?:GPU )?has fallen off the bus",
        f"{_OPEN} #1104",
    ),
    Signature(
        "fallen-off-bus",
        GPU,
        Action.REBOOT,
        rf"NVRM: (?:The NVIDIA GPU {ADDRESS} .*)?fallen off the bus and is not responding",
        "NVIDIA/NVSentinel #155",
    ),
    Signature(
        "reset-required",
        GPU,
        Action.RESET,
        r"NVRM: .*\[NV_ERR_RESET_REQUIRED\]",
        "kubernetes-sigs/dra-driver-nvidia-gpu #982",
    ),
    Signature(
        "gpu-lost",
        GPU,
        Action.REBOOT,
        rf"NVRM: (?:.*\[NV_ERR_GPU_IS_LOST\]|{_OF_GPU}(?:GPU )?is lost\b)",
        f"{_OPEN} src/common/sdk/nvidia/inc/nvstatuscodes.h",
    ),
    Signature(
        "uvm-fatal",
        GPU,
        Action.REBOOT,
        r"(?:NVRM|nvidia-uvm): .*uvm encountered global fatal error",
        f"{_OPEN} kernel-open/nvidia-uvm",
    ),
    Signature(
        "inforom-corrupted",
        GPU,
        Action.DRAIN,
        rf"NVRM: .*infoROM is corrupted at gpu(?: {ADDRESS})?",
        "awslabs/awsome-distributed-ai 2.gpu-cluster-healthcheck",
    ),
    Signature(
        "gsp-failed",
        GPU,
        Action.RESET,
        rf"NVRM: {_OF_GPU}(?:_?kgsp\w*|_?ksec2\w*|RmInitAdapter): .*(?:WPR2 already up|cannot proceed"
        r"|likely in a bad state|Cannot initialize GSP|[Nn]o firmware image found|(?i:timed out|failed|not booted"
        r"|reported an error))",
        f"{_OPEN} #1230, #789, #1058",
    ),
    Signature(
        "gsp-failed",
        GPU,
        Action.RESET,
        rf"NVRM: {_OF_GPU}.*(?:[Nn]o firmware image found|Cannot initialize GSP firmware"
        r"|GSP (?:firmware )?(?:bootstrap|boot|init\w*)\b.*(?:failed|timed out))",
        f"{_OPEN} #1230",
    ),
    Signature(
        "adapter-failed",
        GPU,
        Action.RESET,
        rf"NVRM: {_OF_GPU}(?:RmInitAdapter failed|rm_init_adapter(?:\(\))? failed|rmInit\w* failed)",
        f"{_OPEN} #1230",
    ),
    Signature(
        "probe-failed",
        GPU,
        Action.HOLD,
        r"NVRM: The NVIDIA probe routine (?:failed|was not called) for \d+ device",
        "NVIDIA/NVSentinel #155",
    ),
    Signature(
        "probe-failed",
        GPU,
        Action.HOLD,
        rf"nvidia: probe of {ADDRESS} failed with error",
        f"{LINUX} drivers/base/dd.c",
    ),
    Signature(
        "probe-failed",
        GPU,
        Action.HOLD,
        rf"nvidia {ADDRESS}: probe with driver nvidia failed with error",
        "negativo17/nvidia-driver #158",
    ),
    Signature(
        "no-gpu",
        GPU,
        Action.HOLD,
        r"NVRM: (?:No NVIDIA (?:GPU|graphics adapter|device)s? found"
        r"|None of the NVIDIA (?:devices|GPUs|graphics adapters|graphics devices) were (?:initialized|probed))",
        "NixOS/nixos-hardware #1880",
    ),
    Signature(
        "gpu-ignored",
        GPU,
        Action.HOLD,
        r"NVRM: .*\b(?:driver will ignore(?: this GPU)?|supported through the NVIDIA \S+ Legacy drivers)",
        "NixOS/nixos-hardware #1880; anomixer/proxmox-vgpu-installer #29",
    ),
    Signature(
        "gpu-unsupported",
        GPU,
        Action.HOLD,
        rf"NVRM: (?:The NVIDIA GPU {ADDRESS} .*)?(?:installed in this system )?(?:is )?not supported by (?:the |open )",
        "negativo17/nvidia-driver #158",
    ),
    Signature(
        "pci-region-invalid",
        GPU,
        Action.HOLD,
        rf"NVRM: This PCI I/O region assigned to your NVIDIA device is invalid(?:: .*PCI:{ADDRESS})?",
        f"{_OPEN} kernel-open/nvidia/nv-pci.c",
    ),
    Signature(
        "api-mismatch",
        GPU,
        Action.FAULT,
        r"NVRM: API mismatch\b",
        f"{_OPEN} src/nvidia/arch/nvalloc/unix/src/osapi.c",
    ),
    Signature(
        "d3cold",
        GPU,
        Action.REBOOT,
        rf"(?:NVRM: .*|nvidia {ADDRESS}: .*)(?:from|in|is in) D3cold\b",
        f"{LINUX} drivers/pci/pci.c; {_OPEN} discussions of runtime power management",
    ),
    Signature(
        "rc-watchdog", GPU, Action.FAULT, r"NVRM: .*RC watchdog: ", f"{_OPEN} src/nvidia/src/kernel/gpu/rc"
    ),
    Signature(
        "crash-dump",
        GPU,
        Action.FAULT,
        r"NVRM: A GPU crash dump has been created",
        f"{_OPEN} arch/nvalloc/unix",
    ),
    Signature(
        "vgpu-failed",
        GPU,
        Action.WATCH,
        r"\[?nvidia-vgpu-vfio\]?:? .*(?:(?:start|creation|probe) failed|FLR failed)",
        "NVIDIA/gpu-operator #527; mbilker/vgpu_unlock-rs #49",
    ),
    Signature(IOMMU_FAULT, GPU, Action.FAULT, rf"nvidia {AMD_EVENT}", "NVIDIA/cuda-samples #48"),
    # --- NICs: the driver lost its firmware, its commands or its queues
    Signature(
        "nic-health-compromised",
        NIC,
        Action.DRAIN,
        rf"{_MLX5}.*device's health compromised",
        f"{_NVS}; NVSentinel #1257",
    ),
    Signature(
        "nic-unrecoverable",
        NIC,
        Action.DRAIN,
        rf"{_MLX5}.*unrecoverable hardware error",
        f"{_NVS}; NVSentinel #1257",
    ),
    Signature(
        "nic-command-timeout",
        NIC,
        Action.DRAIN,
        rf"{_MLX5}.*timeout\. Will cause a leak of a command",
        f"{_NVS}; #1257",
    ),
    Signature(
        "nic-fatal",
        NIC,
        Action.DRAIN,
        rf"{_MLX5}.*(?:[Ff]atal (?:err|reset|sensor)|start health recovery flow aborted"
        r"|PCI slot is unavailable|enter(?:ed)? error state|health recovery failed)",
        f"{LINUX} mlx5/core/health.c",
    ),
    Signature(
        "nic-recovering",
        NIC,
        Action.FAULT,
        rf"mlx5_core {ADDRESS}: (?:mlx5_pci_err_detected|mlx5_error_sw_reset|mlx5_handle_bad_state"
        r"|mlx5_health_try_recover|health_care):\d+:\(pid \d+\): ",
        f"{LINUX} mlx5/core/main.c, health.c",
    ),
    Signature(
        "nic-firmware-trouble",
        NIC,
        Action.FAULT,
        rf"{_MLX5}.*(?:Health issue observed|\bsynd 0x[0-9a-f]*[1-9a-f])",
        f"{LINUX} mlx5/core/health.c",
    ),
    Signature(
        "nic-tx-timeout",
        NIC,
        Action.FAULT,
        rf"{_MLX5}.*TX timeout (?:detected|on queue)",
        "NVIDIA/NVSentinel #1334",
    ),
    Signature(
        "nic-probe-failed",
        NIC,
        Action.HOLD,
        rf"{_MLX5}(?:probe with driver mlx5_core failed"
        r"|mlx5_(?:load_one|init_one|init_once|function_\w+|probe_one)\b.*\bfailed|handle_hca_cap\w* failed"
        r"|(?:enable|init) hca failed|Firmware over \d+ MS in \S+ state|probe_one failed)",
        "PeterSuh-Q3/tinycore-redpill #9; pocopico/rp-ext #129",
    ),
    Signature(
        "nic-probe-failed",
        NIC,
        Action.HOLD,
        rf"mlx5_core: probe of {ADDRESS} failed",
        f"{LINUX} drivers/base/dd.c",
    ),
    Signature(
        "nic-slot-power",
        NIC,
        Action.FAULT,
        rf"{_MLX5}.*insufficient power on the PCIe slot",
        f"{LINUX} mlx5/core/events.c",
    ),
    Signature(
        "nic-temperature",
        NIC,
        Action.WATCH,
        rf"{_MLX5}.*High temperature on sensors",
        f"{LINUX} mlx5/core/events.c",
    ),
    Signature(
        "nic-module-error",
        NIC,
        Action.FAULT,
        rf"(?:{_MLX5}|mlx5_port_module_event:\S+ ?(?:\(pid \d+\): )?).*Port module event\[error\]",
        "leptonai/gpud infiniband/kmsg_matcher.go",
    ),
    Signature(
        "nic-pcie-downgraded",
        NIC,
        Action.FAULT,
        rf"{_MLX5}.*limited by .* PCIe x\d+ link",
        "imbue-ai/cluster-health health_checks.py",
    ),
    Signature(
        "netdev-watchdog",
        NIC,
        Action.FAULT,
        rf"(?:mlx5_core {ADDRESS} \S+: NETDEV WATCHDOG: |NETDEV WATCHDOG: \S+ \(mlx5_core\): ).*timed out",
        f"{LINUX} net/sched/sch_generic.c; {_NVS}",
    ),
    Signature(
        IOMMU_FAULT,
        NIC,
        Action.FAULT,
        rf"mlx5_core {AMD_EVENT}",
        f"{LINUX} drivers/iommu/amd/iommu.c",
    ),
    *OF_THE_HOST,
)

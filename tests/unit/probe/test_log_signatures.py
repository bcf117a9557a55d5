"""Severe messages without a number, in the words in which they were published; and what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cases import CASES

from knowngood.probe.kernel_log import messages
from knowngood.probe.kernel_log.signatures import SIGNATURES

from .test_kernel_log import entry, log, told

REAL = {
    # the wording, where it was read, and what it is
    "NVRM: nvCheckOkFailedNoLog: Check failed: GPU lost from the bus [NV_ERR_GPU_IS_LOST] (0xF)": "gpu-lost",
    "NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:": "pci-region-invalid",
    "NVRM: kgspBootstrap_GH100: GSP-FMC reported an error while attempting to boot GSP: 0x1": "gsp-failed",
    "mlx5_core 0000:d2:00.0: temp_warn:196:(pid 0): High temperature on sensors with bit set 0 1": "nic-temperature",
    "[Hardware Error]: Uncorrected, software restartable error.": "machine-check",
    "[Hardware Error]: Corrected error, no action required.": "machine-check-corrected",
    "mce: Uncorrected hardware memory error in user-access at 12345": "machine-check",
    "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI": "oops",
    "NVRM: API mismatch: the client has the version 550.54.14, but NVRM: this kernel module has": "api-mismatch",
    "NVRM: API mismatch: the client 'gnome-shell' has the version 595.58.03,": "api-mismatch",
    "NVRM: GPU-0000:3b:00: RmInitAdapter failed!": "adapter-failed",
    "NVRM: RmInitAdapter failed! (0x62:0x65:2028)": "adapter-failed",
    "NVRM: ksec2PrepareBootCommands_GB20B: SEC2 secure boot partition timed out.": "gsp-failed",
    "NVRM: No NVIDIA graphics adapter found!": "no-gpu",
    "NVRM: GPU at PCI:0000:01:00: GPU has fallen off the bus.": "fallen-off-bus",
    "NVRM: GPU has fallen off the bus.": "fallen-off-bus",
    "NVRM: A GPU crash dump has been created. If possible, please run": "crash-dump",
    "NVRM: RC watchdog: GPU is probably locked!  Notify Timeout Seconds: 7": "rc-watchdog",
    "nvidia 0000:18:00.0: Unable to change power state from D3cold to D0, device inaccessible": "d3cold",
    "nvidia: probe of 0000:09:00.0 failed with error -1": "probe-failed",
    "mlx5_core: INFO: synd 0x8: unrecoverable hardware error.": "nic-unrecoverable",
    "mlx5_core 0000:d2:00.0: poll_health:174: device's health compromised - reached miss count.": (
        "nic-health-compromised"
    ),
    "mlx5_core 0000:12:00.0: mlx5_pcie_event:299: Detected insufficient power on the PCIe slot (27W).": (
        "nic-slot-power"
    ),
    "mlx5_core 0000:3b:00.0 eth0: NETDEV WATCHDOG: CPU: 60: transmit queue 6 timed out 5328 ms": "netdev-watchdog",
    "NETDEV WATCHDOG: eth0 (mlx5_core): transmit queue 0 timed out": "netdev-watchdog",
    "pcieport 0000:97:01.0: AER: Uncorrected (Fatal) error received: 0000:9c:00.0": "aer-uncorrected",
    "nvidia 0000:18:00.0: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=Transaction Layer": (
        "aer-uncorrected"
    ),
    "pcieport 0000:97:01.0: AER: Multiple Corrected error received: 0000:9c:00.0": "aer-corrected",
    "pci 0000:18:00.0: 252.048 Gb/s available PCIe bandwidth, limited by 32.0 GT/s PCIe x8 link": "pcie-downgraded",
    "mce: [Hardware Error]: CPU 12: Machine Check Exception: 5 Bank 7: be00000000800400": "machine-check",
    "{1}[Hardware Error]: event severity: corrected": "machine-check-corrected",
    "INFO: task nvidia-smi:4711 blocked for more than 122 seconds.": "hung-task",
    "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:99]": "lockup",
    "Kernel panic - not syncing: Fatal exception": "panic",
    "nvidia 0000:07:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0003 address=0x80000040 flags=0x0020]": (
        "iommu-fault"
    ),
    "mlx5_core 0000:07:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0003 address=0x8 flags=0x0020 vflags=0x0]": (
        "iommu-fault"
    ),
    "nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0000 address=0xfc189000 flags=0x0000]": (
        "iommu-fault-elsewhere"
    ),
    "AMD-Vi: Event logged [IO_PAGE_FAULT device=20:00.0 domain=0x0003 address=0x000000f4001eef80 flags=0x0010]": (
        "iommu-fault"
    ),
    "iommu ivhd0: AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0b:00.0 address=0x38edc0970]": "iommu-fault",
    "AMD-Vi: Completion-Wait loop timed out": "iommu-timeout",
    "DMAR: [DMA Read NO_PASID] Request device [0x00:0x02.0] fault addr 0x70ad5000 [fault reason 0x07] Next page": (
        "iommu-fault"
    ),
    "DMAR: [DMA Write] Request device [06:00.0] PASID ffffffff fault addr 1a [fault reason 06] PTE": "iommu-fault",
    "DMAR: [DMA Read PASID 0x2] Request device [6a:01.0] fault addr 0x7f [fault reason 0x3a] SM: Non-zero": (
        "iommu-fault"
    ),
    "DMAR: VT-d detected Invalidation Time-out Error: SID 4100": "iommu-timeout",
    "arm-smmu-v3 arm-smmu-v3.16.auto: event: F_TRANSLATION client: 0009:01:00.0 sid: 0x100 ssid: 0x0": "iommu-fault",
    "[nvidia-vgpu-vfio] a581675d-19eb-4f50-aa64-6aeb378c58c3: start failed. status: 0x0 Timeout Occured": "vgpu-failed",
    "[nvidia-vgpu-vfio] vGPU creation failed on device 0x400. -5": "vgpu-failed",
    "nvidia-vgpu-vfio: probe failed with error -12": "vgpu-failed",
    "BUG: kernel NULL pointer dereference, address: 0000000000000000": "oops",
    "Oops: 0000 [#1] PREEMPT SMP NOPTI": "oops",
    "general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP": "oops",
}


@pytest.mark.parametrize(("message", "name"), REAL.items())
def test_severe_messages_without_a_number_have_a_name(message: str, name: str, tmp_path: Path) -> None:
    """Wordings as published; each is found by its keyword, in a journal as in a text."""
    for text in (
        f"[   12.345678] {message}",
        f"Aug 17 10:00:00 n kernel: {message}",
        json.dumps(entry(message)),
    ):
        status, found = told(log(tmp_path, text))
        assert (status, [(f["kind"], f["code"]) for f in found]) == (0, [("signature", name)])


def test_every_signature_has_a_source_and_a_wording_that_shows_it() -> None:
    assert all(signature.source for signature in SIGNATURES)
    found = {messages.find(messages.joined(m)) for m in REAL}
    assert all(found)
    assert all(any(word in message for word in messages.KEYWORDS) for message in REAL)


CASE_WANTS = {
    "k1-gsp-boot.txt": ["gsp-failed", "gsp-failed", "gsp-failed", "adapter-failed", "adapter-failed"],
    "k2-xid31-154.txt": [31, 154],
    "k3-b200-145-137.txt": [None, 145, 137],
    "k4-mlx5-health.txt": ["nic-health-compromised", "nic-unrecoverable", "nic-command-timeout"],
    "k5-mlx5-txtimeout.txt": ["nic-tx-timeout"],
    "k7-probe-22.txt": ["nic-probe-failed"] * 3,
    "k8-legacy-ignored.txt": ["gpu-ignored", "no-gpu"],
    "k9-open-unsupported.txt": ["gpu-unsupported", "probe-failed", "probe-failed", "no-gpu"],
    "j1-vacuumed.jsonl": [],
}


@pytest.mark.parametrize("name", CASE_WANTS)
def test_the_real_cases_are_told(name: str) -> None:
    if not (CASES / name).exists():
        pytest.skip(f"the real cases are not here: {name}")
    status, found = told(CASES / name)
    assert (status, [f["code"] for f in found]) == (0, CASE_WANTS[name])


@pytest.mark.parametrize(
    "message",
    [
        "NVRM: nvCheckOkFailedNoLog: Check failed: Requested object not found [NV_ERR_OBJECT_NOT_FOUND] (0x57)",
        "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping further processing",
        "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
        "mlx5_cmd_out_err:838: ACCESS_REG(0x805) op_mod(0x1) failed, status bad operation(0x2)",
        "mlx5_core 0000:12:00.0: mlx5_cmd_out_err:838:(pid 9): ACCESS_REG(0x805) op_mod(0x1) failed, err(-22)",
        "NVRM: Rate limiting GSP RPC error prints for GPU at PCI:0000:9b:00 (printing 1 of every 30).",
        "NVRM: GPU4 GSP RPC buffer contains function 103 (GSP_RM_ALLOC) and data 0x2081",
        "mlx5_core 0000:3b:00.0 eth0: Link up",
        "AMD-Vi: Extended features (0x841f77e022094ace, 0x0): PPR X2APIC NX GT IA GA PC",
        "DMAR: DRHD: handling fault status reg 402",
        "DMAR: Host address width 46",
        "[drm] [nvidia-drm] [GPU ID 0x00000100] Loading driver",
        "nvidia-modeset: WARNING: GPU:0: Unable to read EDID for display device DP-0",
        "[nvidia-vgpu-vfio] 00000000-0000-0000-0000-000000000101: vGPU migration enabled",
        "[nvidia-vgpu-vfio] 00000000-0000-0000-0000-000000000101: Failed to notify migration state 0x57",
        "nvidia-uvm: Loaded the UVM driver, major device number 508.",
        "traps: python3[99] general protection fault ip:7f sp:7f error:0 in libcuda.so",
    ],
)
def test_look_alikes_are_no_events(message: str, tmp_path: Path) -> None:
    assert told(log(tmp_path, f"[   12.345678] {message}")) == (0, [])


def test_a_domain_of_eight_digits_is_the_same_device(tmp_path: Path) -> None:
    found = told(log(tmp_path, "NVRM: Xid (PCI:00000000:1A:00): 48, x\nNVRM: Xid (PCI:0000:1a:00): 48, y\n"))[
        1
    ]
    assert [f["bdf"] for f in found] == ["0000:1a:00"] * 2


@pytest.mark.parametrize(
    ("line", "address"),
    [
        (
            "AMD-Vi: Event logged [IO_PAGE_FAULT device=20:00.0 domain=0x3 address=0xf flags=0x0]",
            "0000:20:00.0",
        ),
        ("AMD-Vi: Event logged [IO_PAGE_FAULT device=0001:20:00.1 domain=0x3 address=0xf]", "0001:20:00.1"),
        (
            "pci 0000:60:00.2: AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0000:61:00.0 address=0x3]",
            "0000:61:00.0",
        ),
        ("DMAR: [DMA Read NO_PASID] Request device [0x41:0x02.3] fault addr 0x7", "0000:41:02.3"),
        (
            "DMAR: [INTR-REMAP] Request device [c1:00.0] fault index 0x2c [fault reason 0x25] Blocked",
            "0000:c1:00.0",
        ),
        (
            "nvidia 0000:07:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0003 address=0x8]",
            "0000:07:00.0",
        ),
        ("NVRM: GPU 00000000:3B:00.0: GPU has fallen off the bus.", "0000:3b:00.0"),
    ],
)
def test_a_device_is_known_by_one_address_however_it_is_written(
    line: str, address: str, tmp_path: Path
) -> None:
    assert told(log(tmp_path, f"[    1.000000] {line}"))[1][0]["bdf"] == address


@pytest.mark.parametrize(
    "words",
    [
        "NVRM: GPU1 kfooBarBaz_GB100: Unable to reach the frobnicator",
        "[drm:nv_drm_load [nvidia_drm]] *ERROR* [nvidia-drm] [GPU ID 0x00000100] Failed to allocate NvKmsKapiDevice",
        "[drm:nv_drm_flip2 [nvidia_drm]] *ERROR* Flip event on head 0",
        "nvidia-uvm: uvm_foo.c:12 error in what nobody knows",
        "[nvidia-vgpu-vfio] 00000000-0000-0000-0000-000000000101: Failed to map what nobody knows",
    ],
)
def test_a_drivers_failure_in_unknown_words_is_unread(words: str, tmp_path: Path) -> None:
    status, found = told(log(tmp_path, words))
    assert (status, found[0]["kind"], found[0]["code"], found[0]["raw"]) == (0, "unread", None, words)

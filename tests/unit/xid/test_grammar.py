"""How the driver's lines are read: each field, each prefix, each trap. The lines are made up after the grammar."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from knowngood.gate.xid import is_continuation, parse, parse_line
from knowngood.gate.xid_table import SXID, XID, Action

ROOT = Path(__file__).parents[3]
FACTS = Path(os.environ.get("KNOWNGOOD_FACTS", ROOT.parent / "shared" / "facts"))
PLAIN = "NVRM: Xid (PCI:0000:1A:00): 94, pid=41, name=train, Contained: SM (0x1). RST: No, D-RST: No"


def test_every_field_of_a_plain_line() -> None:
    event = parse(PLAIN)
    assert event is not None
    assert (event.name, event.code, event.action) == ("Xid 94", 94, Action.APP)
    assert (event.address, event.pid, event.process) == ("0000:1a:00", "41", "train")
    assert event.text.startswith("Contained: SM")


@pytest.mark.parametrize(
    "prefix",
    [
        "[  12.345678] ",
        "[Mon Aug 17 10:00:00 2026] ",
        "kernel: ",
        "kern  :err   : 2026-08-17T10:00:00,123456+00:00 ",
        "3,1234,56789,-;",
        "Aug 17 10:00:00 gpu-1 kernel: ",
        "Aug 17 10:00:00 gpu-1 kernel: [  12.345678] ",
    ],
)
def test_prefixes_of_log_files_are_taken_off_and_in_a_journal_refused(prefix: str) -> None:
    assert parse_line(prefix + PLAIN) == parse(PLAIN)
    assert parse(prefix + PLAIN) is None


@pytest.mark.parametrize(
    ("place", "instances"),
    [
        ("PCI:0000:1a:00 GPU-I:05", (5, None)),
        ("PCI:0000:1a:00 GPU-I:05 GPU-CI:02", (5, 2)),
        ("0000:1a:00", (None, None)),
    ],
)
def test_the_mig_slice_is_told(place: str, instances: tuple[int | None, int | None]) -> None:
    event = parse(f"NVRM: Xid ({place}): 13, Graphics Exception")
    assert event is not None
    assert (event.gpu_instance, event.compute_instance) == instances
    assert event.address == "0000:1a:00"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("46", 46),
        ("46,", 46),
        ("45, pid=7, name=x, Ch 1 caused by previous Xid 31", 45),
        ("999, what is this", 999),
    ],
)
def test_bare_and_unknown_codes_are_events(text: str, code: int) -> None:
    event = parse(f"NVRM: Xid (PCI:0000:1a:00): {text}")
    assert event is not None
    assert event.code == code


@pytest.mark.parametrize(
    ("target", "action"),
    [
        ("0x0 (None)", Action.INFO),
        ("0x1 (PF FLR)", Action.RESET),
        ("0x2 (a label of the future)", Action.REBOOT),
        ("0x3 (Drain P2P)", Action.DRAIN),
        ("0x4 (Drain and Reset)", Action.RESET),
        ("0x9 (not known)", Action.HOLD),
    ],
)
def test_a_recovery_action_is_read_by_its_number(target: str, action: Action) -> None:
    event = parse(f"NVRM: Xid (PCI:0000:1a:00): 154, GPU recovery action changed from 0x0 (None) to {target}")
    assert event is not None
    assert event.action is action


def test_a_recovery_action_that_cannot_be_read_is_for_a_human() -> None:
    event = parse("NVRM: Xid (PCI:0000:1a:00): 154, GPU recovery action changed")
    assert event is not None
    assert event.action is Action.HOLD


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("20034, Fatal, Link 07 LTSSM Fault Up", Action.DRAIN),
        ("22013, Non-fatal, Link 07 Minion Link DLREQ interrupt", Action.INFO),
        ("22013, Fatal, Link 07 Minion Link DLREQ interrupt", Action.DRAIN),
        ("20034, Non-fatal, Link 07 LTSSM Fault Up", Action.DRAIN),
        ("26008, SOE Watchdog error", Action.HOLD),
        ("99999, Non-fatal, something new", Action.WATCH),
        ("99999, Fatal, something new", Action.HOLD),
        ("99999, something new", Action.HOLD),
    ],
)
def test_the_worse_of_a_switchs_word_and_its_class_wins(line: str, action: Action) -> None:
    event = parse(f"nvidia-nvswitch2: SXid (PCI:0000:06:00.0): {line}")
    assert event is not None
    assert event.action is action


def test_what_goes_on_from_an_earlier_line_is_no_event() -> None:
    line = "nvidia-nvswitch2: SXid (PCI:0000:06:00.0): 20034, Severity 1 Engine instance 07 Sub-engine instance 00"
    assert parse(line) is None
    assert is_continuation(line)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: GPU at PCI:0000:1a:00: GPU-0a1b",
        "r8169 0000:01:00.0 eth0: RTL8168, XID 609, IRQ 33",
        "NVRM: Rate limiting GSP RPC error prints for GPU at PCI:0000:1a:00. The GPU likely needs to be reset.",
        "nvidia_peermem: disagrees about version of symbol ib_register_peer_memory_client",
        "",
    ],
)
def test_lines_that_only_look_like_errors(line: str) -> None:
    assert parse(line) is None


def test_a_line_break_in_a_process_name_hides_nothing() -> None:
    """A process names itself."""
    event = parse("NVRM: Xid (PCI:0000:3b:00): 48, pid=1234, name=a\nb, DBE\nmore")
    assert event is not None
    assert (event.name, event.action, event.pid) == ("Xid 48", Action.RESET, "1234")
    assert (event.process, event.text) == ("a\nb", "DBE\nmore")
    switch = parse("nvidia-nvswitch0: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 07 LTSSM\nFault Up")
    assert switch is not None
    assert (switch.code, switch.link) == (20034, 7)


def test_a_pci_domain_may_be_longer_than_four_digits() -> None:
    event = parse("NVRM: Xid (PCI:10000:3b:00): 79, GPU has fallen off the bus")
    assert event is not None
    assert (event.name, event.address, event.action) == ("Xid 79", "10000:3b:00", Action.REBOOT)


@pytest.mark.parametrize(
    ("line", "name", "switch"),
    [
        ("NVRM: Xid (PCI:0000:3b:00): 79 GPU has fallen off the bus.", "unread Xid", ""),
        ("NVRM: Xid : 32, pid=1", "unread Xid", ""),
        ("NVRM: Xid (PCI:0000:3b", "unread Xid", ""),
        ("NVRM: Xid (GPU-0a1b): 79, GPU has fallen off the bus.", "unread Xid", ""),
        ("NVRM: Xid", "unread Xid", ""),
        ("nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 2803", "unread SXid", "nvswitch3"),
        ("nvidia-nvswitch3: SXid (PCI:0000:c1:00): 28006, Fatal, Link 46 x", "unread SXid", "nvswitch3"),
        ("nvidia-nvswitch12: SXid", "unread SXid", "nvswitch12"),
    ],
)
def test_an_error_that_cannot_be_read_is_for_a_human(line: str, name: str, switch: str) -> None:
    """Cut off, or words of a driver to come: nobody can say how bad it is."""
    event = parse(line)
    assert event is not None
    assert (event.name, event.action, event.switch) == (name, Action.HOLD, switch)


def test_an_unread_error_is_told_in_one_line() -> None:
    event = parse("NVRM: Xid (PCI:0000:3b:00) 79\nGPU has fallen")
    assert event is not None
    assert event.meaning == "NVRM: Xid (PCI:0000:3b:00) 79 GPU has fallen"


def test_a_lost_gpu_in_one_message_of_three_lines_is_found() -> None:
    event = parse(
        "NVRM: The NVIDIA GPU 0000:b3:00.0\nNVRM: (PCI ID: 10de:26b5) installed in this system has\n"
        "NVRM: fallen off the bus and is not responding to commands."
    )
    assert event is not None
    assert (event.name, event.action, event.address) == ("fallen-off-bus", Action.REBOOT, "0000:b3:00")


def test_the_table_says_what_the_collected_catalogues_say() -> None:
    if not FACTS.exists():
        pytest.skip("the collected catalogues are not here")
    catalogue = yaml.safe_load((FACTS / "xid_catalogue.yaml").read_text())["xids"]
    assert len(catalogue) == 177
    for row in catalogue:
        if row["code"] != 154:  # judged by its target
            assert XID.get(row["code"], Action.HOLD).word == row["gate_class"], row["code"]
    classes = {
        "fatal": Action.DRAIN,
        "always-fatal": Action.DRAIN,
        "non-fatal": Action.INFO,
        "other": Action.HOLD,
    }
    for row in yaml.safe_load((FACTS / "sxid_catalogue.yaml").read_text())["sxids"]:
        assert SXID.get(row["code"], Action.HOLD) is classes[row["class"]], row["code"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (13, "graphics engine exception"),
        (31, "GPU memory page fault"),
        (43, "GPU stopped processing"),
        (45, "channel torn down after an earlier error"),
        (48, "double bit ECC error"),
        (61, "internal micro-controller breakpoint"),
        (62, "internal micro-controller halt"),
        (63, "memory row remap pending"),
        (64, "memory row remap failed"),
        (74, "NVLink error"),
        (79, "GPU has fallen off the bus"),
        (92, "high rate of single bit ECC errors"),
        (94, "contained memory error"),
        (95, "uncontained memory error"),
        (109, "context switch timeout"),
        (119, "GSP RPC timeout"),
        (120, "GSP error"),
        (140, "uncorrectable ECC error"),
        (154, "GPU recovery action changed"),
    ],
)
def test_an_xid_is_told_with_nvidias_name_of_it(code: int, words: str) -> None:
    event = parse(f"NVRM: Xid (PCI:0000:1a:00): {code}, x")
    assert event is not None
    assert event.meaning == words

"""Whether a file is a kernel's log at all: that it tells no error means something only of a log that would tell one.

One line that the kernel wrote, in any form that is read, shows it. Of other programs' lines alone, a web page or an
empty file nobody knows what the kernel said.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from knowngood.probe.kernel_log import files
from knowngood.probe.kernel_log.lines import of_journal
from knowngood.probe.kernel_log.messages import JOURNAL_PATTERN

_STAMPED = (
    r"\[ *\d+\.\d{6}[] <]"  # dmesg's seconds, with or without those since the line before
    r"|\[\w{3} \w{3} +\d+ [\d:]{8} \d{4}\]"  # dmesg -T
    r"|\[ *\+\d+\.\d{6}\]|\[\w{3} *\d+ \d\d:\d\d\]"  # dmesg -e
    r"|\bkernel: |\bkern *: *\w+ *: "  # a syslog's or journalctl's tag, dmesg --decode, Talos
    r"|\bnv-fabricmanager(?:\[\d+\])?: "
)
_WHOLE = (
    r"(?:\d{1,6} )?<[0-7]>1 |(?:\d{1,6} )?<\d+>1 \S+ \S+ kern(?:el)? "  # RFC 5424
    r"|(?:\d+\.[\w.+~-]*,)?\d{1,9},\d+,\d{1,18},[^;\n]*;"  # /dev/kmsg, netconsole
    r"|\d{4}-\d\d-\d\dT[\d:]{8},\d{6}[+-]\d\d:?\d\d "  # dmesg --time-format iso
    r"|\d{4}-\d\d-\d\d [\d:]{8}(?:\.\d+)? [+-]\d{4} \w+: kern: "  # Talos, stored
    r"|\[\w{3} \d+ \d{4} [\d:]{8}\] \[\w+\] \[tid \d+\] "  # the Fabric Manager's own file
    r"|-- No entries --"  # journalctl's word for it
)
_UNTOLD = (
    r"\s*(?:\[[^][\n]{1,64}\]\s*"
    r"|(?:\d{4}-\d\d-\d\d[T ]\S+ |\w{3} +\d+ [\d:]{8}\S* )?(?:[\w.-]{1,64}:? )?)"
)
"""What may stand before words that are the kernel's alone: a number in brackets, a time, a node's name."""
_LINE = re.compile(
    rf"^(?:[^\n]{{0,300}}?(?:{_STAMPED})|{_WHOLE}|{_UNTOLD}(?:{JOURNAL_PATTERN.lstrip('^')}))".encode(),
    re.MULTILINE,
)


def of_text(path: Path, size: int) -> bool:
    """Whether a line of a text shows that it is a kernel's log."""
    return any(_LINE.search(block) for block in files.blocks(path, size))


def of_json(path: Path, size: int) -> bool:
    """The same of a journal's entries as JSON lines."""
    return any(map(_is_kernels, files.every(path, size)))


def _is_kernels(raw: bytes) -> bool:
    if raw.startswith(b"-- No entries --"):
        return True
    try:
        line = of_journal(json.loads(raw.lstrip(b"\x1e").removeprefix(b"data: ")))
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return False
    return line.kernel or line.fabric_manager


def nothing(path: Path, size: int) -> str:
    """Why nothing is known by a file of so many bytes in which no line is the kernel's."""
    said = "no line of it is known to be the kernel's" if size else "it is empty"
    give = "give what dmesg or journalctl -k prints, with its times"
    return f"{path}: {said}, so that it tells no error means nothing: {give}"

"""That a log tells no error means something only if it is the kernel's: what is none is not read as a quiet one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowngood.probe.kernel_log import recognised

from .test_kernel_log import FORMATS, XID, entry, exported, log, told

QUIET = "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready"
TOLD_BY_WORDS = {
    "bare",
    "a node's name alone",
    "a node's name and a blank",
    "a time and a node's name",
    "rfc 5424, no program named",
}
"""Forms in which a line is the kernel's by its words only."""


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - TOLD_BY_WORDS))
def test_a_quiet_log_of_every_form_is_read(name: str, tmp_path: Path) -> None:
    """Even behind a megabyte of other programs' lines."""
    text = FORMATS[name].replace(XID, QUIET)
    if name == "journal export":
        text = exported(QUIET.encode()).decode("latin-1")
    elif name == "journal json, bytes":
        text = json.dumps(entry(list(QUIET.encode())))
    elif "NVRM" in text:
        text = text.partition("NVRM")[0] + QUIET
    assert told(log(tmp_path, f"{text}\n".encode("latin-1"))) == (0, [])
    if "journal" not in name:
        others = "2026-08-17T10:00:00Z gpu-1 k8s[7]: a word\n" * 30_000
        assert told(log(tmp_path, f"{others}{text}\n".encode("latin-1"))) == (0, [])


OTHERS = {
    "empty": "",
    "blank": "\n\n",
    "a web page": "<html><body><h1>404 Not Found</h1></body></html>\n",
    "a table": "NAME STATUS ROLES\ngpu-1 Ready worker\n",
    "an answer of the API": '{"kind": "Status", "status": "Failure", "code": 403}\n',
    "what a tool said in vain": "dmesg: read kernel buffer failed: Operation not permitted\n",
    "an application's log": "2026-08-17 10:00:00,123 INFO started\n2026-08-17 10:00:01,123 INFO saw nothing\n",
    "other programs' syslog": "Aug 17 10:00:00 gpu-1 sshd[12]: Accepted publickey\n" * 3,
    "other programs' syslog, rfc 5424": "<30>1 2026-08-17T10:00:00Z gpu-1 gpud 12 - - all is well\n",
    "other programs' journal": json.dumps(entry("all is well", _TRANSPORT="syslog")) + "\n",
    "other programs' journal, export": (
        "__CURSOR=s=1\n_TRANSPORT=syslog\n__MONOTONIC_TIMESTAMP=1\nMESSAGE=all is well\n\n"
    ),
    "a list": "[1, 2, 3]\n",
}


@pytest.mark.parametrize("grep", [True, False], ids=["grep", "python"])
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_kernels_log_is_not_read_as_a_quiet_one(name: str, tmp_path: Path, *, grep: bool) -> None:
    status, found = told(log(tmp_path, OTHERS[name]), grep=grep)
    assert (status, len(found), "means nothing" in found[-1]["error"]) == (3, 1, True)


def test_an_entry_that_can_not_be_read_hides_no_other_from_being_the_kernels(tmp_path: Path) -> None:
    status, found = told(log(tmp_path, f'{{"MESSAGE": NVRM: x}}\n{json.dumps(entry())}\n'))
    assert (status, [f.get("code") for f in found[:2]]) == (3, [None, 94])
    assert "1 part(s) can't be read" in found[-1]["error"]
    path = tmp_path / "log"
    assert recognised.of_json(path, path.stat().st_size)


def test_messages_behind_octet_counts_must_have_a_line_each(tmp_path: Path) -> None:
    """As they come over TCP they have none, and all but the first would be its rest."""
    quiet = f"<4>1 2026-08-17T10:00:00Z gpu-1 kernel - - - {QUIET}"
    bad = f"<4>1 2026-08-17T10:00:00Z gpu-1 kernel - - - {XID}"
    frames = [f"{len(one)} {one}" for one in (quiet, bad)]
    assert [f["code"] for f in told(log(tmp_path, "\n".join(frames)))[1]] == [94]
    counted = [f"{len(one) + 1} {one}\n" for one in (quiet, bad)]
    assert [f["code"] for f in told(log(tmp_path, "".join(counted)))[1]] == [94]
    status, found = told(log(tmp_path, "".join(frames)))
    assert (status, "octet counts" in found[0]["error"]) == (3, True)

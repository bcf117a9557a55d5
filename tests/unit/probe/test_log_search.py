"""What a log is searched for loses nothing that the parser knows: with grep, without, and in a journal's own search."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowngood.probe.kernel_log import files, messages
from knowngood.probe.kernel_log.events import parse
from knowngood.probe.kernel_log.signature import Signature
from knowngood.probe.kernel_log.signatures import SIGNATURES

pytestmark = pytest.mark.timeout(120)
"""Seconds: a search that stays where it is would go on for ever."""
WORDS = (*messages.KEYWORDS, *files.BYTES_MESSAGE)
NEARLY = (
    "kernel: backup",
    "NVR M",
    "nVidia",
    "mlx5",
    "mce:x",
    "rcu",
    "unblocked for more thanks",
    "ähm",
    "x" * 300,
)
settled = settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def every_one(data: bytes) -> list[str]:
    """Each line with a keyword, found in the plainest way."""
    lines = [line.rstrip(b"\r").decode("utf-8", "replace") for line in data.split(b"\n")]
    return [line for line in lines if any(word in line for word in WORDS)]


def found(tmp_path: Path, data: bytes, *, grep: bool) -> list[str]:
    path = tmp_path / "log"
    path.write_bytes(data)
    os.utime(path, (0, 0))  # nobody has just written to it
    return list(files.matching(path, len(data), grep=grep))


@pytest.mark.parametrize("grep", [True, False], ids=["grep", "python"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_no_line_with_a_keyword_is_lost(tmp_path: Path, end: str, *, grep: bool) -> None:
    lines = [f"{a} {b}" if a else b for a in WORDS for b in (*WORDS, *NEARLY)]
    data = ((end or "\n").join(lines * 20) + end).encode()
    assert len(data) > 2 * files.CHUNK
    assert found(tmp_path, data, grep=grep) == every_one(data)


PARTS = st.one_of(
    st.sampled_from([word.encode() for word in (*WORDS, *NEARLY)]),
    st.sampled_from([b"\n", b"\n", b"\r\n", b" ", b"\xff", b"\xe2\x82", b"\0"]),
    st.binary(max_size=20),
)


@settled
@given(st.lists(PARTS, max_size=60), st.integers(1, 40))
def test_wherever_the_blocks_of_a_file_end_the_lines_are_the_same(
    tmp_path: Path, parts: list[bytes], chunk: int
) -> None:
    data = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK", chunk)
        for grep in (True, False):
            assert found(tmp_path, data, grep=grep) == every_one(data)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda s: f"{s.name} {s.reads[:30]}")
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_whatever_a_signature_means_is_searched_for(signature: Signature, data: st.DataObject) -> None:
    meant = re.compile(rf"\A(?:{signature.reads})", re.ASCII)
    message = data.draw(st.from_regex(meant, alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
    assert any(word in message for word in messages.KEYWORDS)
    assert re.search(messages.JOURNAL_PATTERN, message)


@pytest.mark.parametrize(
    "message",
    [
        "NVRM: Xid (PCI:0000:1a:00): 79, x",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 1",
        "mlx5_core 0000:41:00.0: something failed",
        "nvidia 0000:41:00.0: something failed",
    ],
)
def test_a_journal_is_asked_for_what_the_parser_knows(message: str) -> None:
    assert parse(message)
    assert re.search(messages.JOURNAL_PATTERN, message)


def test_who_only_imports_the_signatures_compiles_none() -> None:
    """A judge, each playbook and each probe of the kernel log import them; most see no line that may be one."""
    code = """from knowngood.probe.kernel_log import lines, messages, signatures
compiled = [one.name for one in signatures.SIGNATURES if "pattern" in vars(one)]
print(compiled, messages._one_of_them.cache_info().misses)"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[] 0\n"

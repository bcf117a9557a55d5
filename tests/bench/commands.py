"""What an engineer waits for before anything happens: start-up, and the check of the matrix."""

from __future__ import annotations

from tests.bench.measurement import BIN, Measurement, seconds


def measure() -> list[Measurement]:
    """`--help` against an empty Python, and `validate` of the shipped matrix."""
    empty = seconds([str(BIN / "python"), "-c", "pass"], times=15)
    usage = seconds([str(BIN / "knowngood"), "--help"], times=15)
    validate = seconds([str(BIN / "knowngood"), "validate"])
    return [
        Measurement("python -c pass", empty * 1000, "ms"),
        Measurement("knowngood --help", usage * 1000, "ms"),
        Measurement("knowngood --help / python -c pass", usage / empty, "times", aim=6),
        Measurement("knowngood validate, the shipped matrix", validate, "s", aim=1.5),
    ]

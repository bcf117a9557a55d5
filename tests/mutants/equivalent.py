"""Mutants that change nothing that a verdict hangs on, by name, and why."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    'gates/drift.py: if state.labels.get(label, "upgrade-done") not in ("", "upgrade-done"):: "upgrade-done" -> \'\'': (
        "both stand for no upgrade"
    ),
    "gates/driver_health.py: fast = max([*found.rates.values(), "
    'float(limits.get("nvlinkGBps", 0.0))], default=0.0): 0.0 -> 1.0': "no NVLink runs below 1 GB/s",
}

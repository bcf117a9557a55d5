"""A version as clusters and vendors print it, and as the matrix writes it. Pure.

| printed | by | written |
|---|---|---|
| `v25.3.4` | a CSV's or a chart's name, `kubeletVersion` | `25.3.4` |
| `28.43.2026 (MT_0000000838)` | `ibv_devinfo`, `ethtool -i`: the board behind the firmware | `28.43.2026` |
| `MLNX_OFED_LINUX-24.10-3.2.5.0:`, `OFED-internal-25.10-1.2.2` | `ofed_info -s` | `24.10-3.2.5.0` |

Only what leaves one meaning is taken off; all else stays as it was, to be refused by its scheme.
"""

from __future__ import annotations

import re

_V = re.compile(r"[vV](?=\d)", re.ASCII)
_BOARD = re.compile(r"\s*\([A-Z]{2,4}_?[0-9A-Z]+\)$", re.ASCII)
_OFED = re.compile(r"(?:MLNX_OFED_LINUX|MLNX_OFED|OFED-internal|DOCA-OFED)-(?=\d)", re.ASCII)
NUMBERED = frozenset({"numeric", "openshift", "nvidia-driver", "kernel", "kubernetes"})


def plain(scheme: str, text: str) -> str:
    """What `text` says in a component's scheme; the text itself where nothing is known to be around it."""
    text = text.strip()
    if scheme == "doca-ofed":
        return _OFED.sub("", text.removesuffix(":"), count=1) if _OFED.match(text) else text
    if scheme not in NUMBERED:
        return text
    without = _V.sub("", text, count=1) if _V.match(text) else text
    return _BOARD.sub("", without) if scheme == "numeric" else without

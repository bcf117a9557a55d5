"""What each code asks for: the probe's own table, for gate authors."""

from __future__ import annotations

from knowngood.probe.kernel_log.codes import MEANING, NVLINK5, RECOVERY, SXID, XID, Action

__all__ = ["MEANING", "NVLINK5", "RECOVERY", "SXID", "XID", "Action"]

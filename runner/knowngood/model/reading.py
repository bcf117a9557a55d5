"""How a component's version is read, as its file says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a version: `of` is running or declared, `via` an API or a place, `what` the field there."""

    of: str
    via: str  # object, label, csv, image, node, redfish, command
    what: str
    verified: bool = True

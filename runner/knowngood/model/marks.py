"""What a node object carries of ours, as whoever looks at it reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """What a node object carries of ours: our claim's value, the run that each of our taints names, the cordon.

    `snapshot` and `reason`: whether those annotations of ours are there; `cordoned_before`: what the snapshot says of
    the time before we came, None where it says nothing.
    """

    claim: str = ""
    maintenance: str = ""
    quarantine: str = ""
    cordoned: bool = False
    snapshot: bool = False
    reason: bool = False
    cordoned_before: bool | None = None

    @property
    def run(self) -> str:
        """The run whose claim it is, "" without one."""
        return self.claim.rpartition("/")[0]

    @property
    def any(self) -> bool:
        """Whether anything of ours is on the node; a cordon alone is nobody's."""
        return bool(self.claim or self.maintenance or self.quarantine or self.snapshot or self.reason)

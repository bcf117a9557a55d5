"""What a node object carries of ours, as whoever looks at it reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Marks:
    """What a node object carries of ours: our claim's value, the run that each of our taints names, the cordon.

    `snapshot` and `reason`: whether those annotations of ours are there; `cordoned_before`: what the snapshot says of
    the time before we came, None where it says nothing. `flash`: the note of what was begun at its BMC and of which no
    end was seen, as it stands there; it outlives claim and quarantine.
    """

    claim: str = ""
    maintenance: str = ""
    quarantine: str = ""
    cordoned: bool = False
    snapshot: bool = False
    reason: bool = False
    cordoned_before: bool | None = None
    flash: str = ""

    @property
    def run(self) -> str:
        """The run whose claim it is, "" without one."""
        return self.claim.rpartition("/")[0]

    @property
    def any(self) -> bool:
        """Whether anything of ours holds the node; a cordon alone is nobody's, and a flash's note holds nothing."""
        return bool(self.claim or self.maintenance or self.quarantine or self.snapshot or self.reason)

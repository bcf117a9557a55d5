"""What baseboard management controllers (BMCs) tell of the nodes' machines, and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.values import Values

NODE = "{node}"


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """Where a version's image is (https), and what it must be: its SHA-256 in hexadecimal digits."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Bmcs:
    """Where the nodes' BMCs are; "" in `at`: none is asked.

    `at` is an https URL in which `{node}` stands for the node's name. `credentials` says where NAME:PASSWORD is
    (`env:NAME`, `file:PATH`), `ca` is a PEM file with the authorities that they are proven by, "" for the system's.
    `domain` is the nodes' label of the failure domain, of whose BMCs one at a time is flashed; "" where all are one.
    `images`: component -> version -> what is flashed for it.
    """

    at: str = ""
    credentials: str = ""
    ca: str = ""
    domain: str = ""
    images: Mapping[str, Mapping[str, FirmwareImage]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Values) -> Bmcs:
        """As a cluster file has it."""
        images = {
            component: {version: FirmwareImage(**image) for version, image in versions.items()}
            for component, versions in values.get("images", {}).items()
        }
        return cls(**{**values, "images": images})

    def image(self, component: str, version: str) -> FirmwareImage | None:
        """What is flashed for a version; None where the cluster file names nothing."""
        return self.images.get(component, {}).get(version)

    def of_node(self, node: str) -> str:
        """The URL of a node's BMC."""
        return self.at.replace(NODE, node).rstrip("/")


UNASKED = Bmcs()
"""No BMC is asked."""


@dataclass(frozen=True, slots=True)
class BmcJob:
    """A job or task of a BMC, in its own words; `percent` complete, -1 where it does not say. `link`: where it is."""

    name: str
    state: str
    what: str = ""
    message: str = ""
    percent: int = -1
    link: str = ""


@dataclass(frozen=True, slots=True)
class BmcState:
    """One look at a BMC. `trouble`: why it could not be read; then nothing else is there.

    `versions`: what runs, by component.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    jobs: tuple[BmcJob, ...] = ()
    trouble: str = ""

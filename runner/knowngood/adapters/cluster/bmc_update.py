"""Whether BMCs could flash what is to come, and what was there before: asked before anything is changed.

UpdateService: DMTF DSP2046; annotations of the apply time: DSP0266.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from knowngood.adapters.cluster import bmc_image
from knowngood.adapters.cluster.redfish import WORKERS, Bmc, bmc_of, inside
from knowngood.model.bmcs import Bmcs
from knowngood.model.errors import Unreachable
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.values import Object, Values

SUPPORT = "@Redfish.OperationApplyTimeSupport"
NAME_IT = "add it to bmcs.images of the cluster file: its url and sha256"
SERVE_IT = "have it where bmcs.images says, with the SHA-256 that is told there"


@dataclass(frozen=True, slots=True)
class Way:
    """How images are given to a BMC: pushed by multipart, or by their address. `times`: when it may apply them."""

    link: str
    pushed: bool
    times: tuple[str, ...] = ()


def way_of(service: Values) -> Way | None:
    """What an update service offers, the push first: then what it gets is what was proven. None where it takes none."""
    if service.get("ServiceEnabled") is False:
        return None
    if link := service.get("MultipartHttpPushUri"):
        return Way(str(link), pushed=True, times=_times(service.get(f"MultipartHttpPushUri{SUPPORT}")))
    action = inside(service, "Actions", "#UpdateService.SimpleUpdate")
    link = action.get("target")
    return Way(str(link), pushed=False, times=_times(action.get(SUPPORT))) if link else None


def update_service(bmc: Bmc) -> Object:
    """The update service. Raises Unreachable."""
    return bmc.linked(bmc.root(), "UpdateService")


def _times(support: object) -> tuple[str, ...]:
    found = support.get("SupportedValues") if isinstance(support, dict) else None
    return tuple(str(time) for time in found or ())


def ready(at: Bmcs, nodes: Sequence[str], versions: Mapping[str, Sequence[str]]) -> list[Finding]:
    """What stands in the way. `versions`: of each component those that are flashed, the way back's too."""
    if not at.at:
        components = ", ".join(versions)
        return [refused("bmcs", f"nobody says who flashes {components}", "add bmcs to the cluster file")]
    with ThreadPoolExecutor(max_workers=min(max(len(nodes), 1), WORKERS)) as pool:
        found = pool.map(lambda node: list(_takes(at, node)), nodes)
        return [*_images(at, versions), *(finding for of_node in found for finding in of_node)]


def _images(at: Bmcs, versions: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Each image whole, by its digest: one that turns out to be another at three in the morning is no way back."""
    for component, wanted in versions.items():
        for version in dict.fromkeys(wanted):
            where = f"image of {component} {version}"
            image = at.image(component, version)
            if image is None:
                yield refused(
                    where, "none is named, so it could not be flashed, or not flashed back", NAME_IT
                )
                continue
            try:
                wrong = bmc_image.fetch(image, at.ca)
            except Unreachable as error:
                yield unknown(where, f"it can't be read: {error}", SERVE_IT)
                continue
            if wrong:
                yield refused(where, wrong, SERVE_IT)


def _takes(at: Bmcs, node: str) -> Iterator[Finding]:
    where = f"the BMC of {node}"
    try:
        if way_of(update_service(bmc_of(at, node))) is None:
            what = "it takes no image: neither MultipartHttpPushUri nor SimpleUpdate is offered"
            yield refused(where, what, "switch its update service on, or flash it by its own means")
    except Unreachable as error:
        yield unknown(where, f"whether it takes an image can't be told: {error}", "see its own page")

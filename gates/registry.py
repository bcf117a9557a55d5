"""What runs, and the drivers and operands that the release brings, can still be pulled, for each judged node.

Proves: by the references that pods name, and those that the operators will compose for each node's operating system,
kernel and architecture, driver toolkit included: the mirror that the cluster's mirror sets name, or else the source,
has a manifest, and one for the node's architecture. Operands are asked for where their object names repository and
image, of OpenShift its release image. Nothing is pulled.
Noted: components whose images nothing in the cluster names, as operators by OLM and charts: they were not asked for.
Needs: the way from here to the registry; `registry` in the cluster file, which has this gate run by `knowngood gate`
and the same asked before a run's first change; deploy/registry, which lets pull secret, mirror sets and the image
stream openshift/driver-toolkit be read. In no shipped profile: a rehearsal has no registry.
fail: every place that a node would ask says that it is not there: without the present release's there is no way back.
inconclusive: a registry does not answer, denies, redirects; an image can't be named (no repository in the live object).
Thresholds: none.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from knowngood.gate import judge, measure, some
from knowngood.ports.registry import Looked


@pytest.mark.parametrize("part", ["present", "target"])
def test_every_image_can_be_pulled(part: str, images: Mapping[str, Looked]) -> None:
    """Of the present release, or of the one that is judged."""
    looked = images[part]
    measure(**{f"{part}Images": len(looked.asked), f"{part}Missing": len(looked.answer.missing)})
    if looked.answer.missing:
        judge.fail(told(looked.answer.missing))
    if looked.answer.unproven or looked.untold:
        judge.inconclusive("; ".join(filter(None, [some(looked.untold), told(looked.answer.unproven)])))
    if not looked.asked:
        judge.inconclusive(f"no image of the {part} release could be named on the judged nodes")
    judge.note(f"{len(looked.asked)} images of the {part} release are there{beside(looked)}")


def beside(looked: Looked) -> str:
    """Whose images were not asked for."""
    return f"; not asked for: those that {', '.join(looked.unasked)} bring" if looked.unasked else ""


def told(images: Mapping[str, str]) -> str:
    """Each with why."""
    return some([f"{image}: {why}" for image, why in images.items()])

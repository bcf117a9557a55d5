"""What registry must say of a node's images."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil

from knowngood.model.verdict import Verdict
from knowngood.ports.registry import Images, Looked

IMAGE = "mirror.example.com/driver:1"


def looked(
    part: str, *, untold: tuple[str, ...] = (), asked: tuple[str, ...] = (IMAGE,), **said: str
) -> Spoil:
    answer = Images(**{kind: {IMAGE: why} for kind, why in said.items()})
    return lambda n: n.images.update({part: Looked(asked, answer, untold)})


PASS: Mapping[str, Spoil] = {"as it was": lambda _: None}
FAULTS: Mapping[str, Fault] = {
    "no way back": Fault(looked("present", missing="404"), f"{IMAGE}: 404"),
    "no way forth": Fault(looked("target", missing="404"), f"{IMAGE}: 404"),
    "a registry that does not answer": Fault(
        looked("present", unproven="timed out"), f"{IMAGE}: timed out", Verdict.INCONCLUSIVE
    ),
    "an image that can't be named": Fault(
        looked("target", untold=("fra-gpu-1: no repository",)),
        "fra-gpu-1: no repository",
        Verdict.INCONCLUSIVE,
    ),
}
EMPTY: Mapping[str, Empty] = {
    f"no image of the {part} release": Empty(looked(part, asked=()), f"no image of the {part} release")
    for part in ("present", "target")
}

"""Rules about firmware that BMCs flash: what a run would find missing only once a node is out of service."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.documents import Document
from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.model.mover import Specs


@rule("KG434", "Where firmware is declared, `bmcs` says who flashes it, with which image.")
def bmcs_are_named(context: Context) -> Iterator[Finding]:
    """No controller of the cluster flashes it. The image of the pinned version is the way back."""
    for document in context.documents.of("clusters").values():
        yield from _of_cluster(context, document, context.matrix.movers)


def _of_cluster(context: Context, document: Document, movers: Specs) -> Iterator[Finding]:
    declared = [n for n in document.value["declare"] if n in movers and movers[n].firmware]
    bmcs, release = document.value.get("bmcs"), context.matrix.releases.get(document.value["release"])
    for name in declared:
        at = document.at_key("declare", name)
        if not bmcs:
            yield Finding(at, f"{name} is declared, and no bmcs say who flashes it", "add bmcs")
            continue
        if not bmcs["credentials"].startswith("file:"):
            message = f"{name} is flashed by a program of its own, which gets no variables of ours"
            yield Finding(
                document.at("bmcs", "credentials"), message, "name a file, as file:/run/secrets/bmc"
            )
        pinned = release.components.get(name, "") if release else ""
        if pinned and pinned not in bmcs.get("images", {}).get(name, {}):
            message = f"no image of {name} {pinned} is named, the version of {document.value['release']}: no way back"
            yield Finding(
                document.at_key("bmcs"), message, f"add bmcs.images.{name}.{pinned}: {{url, sha256}}"
            )

"""A rule about the names of hardware that profiles and rules ask each other about."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.lint.registry import Context, Finding, known_are, rule

KNOWN = {
    "gpu-arch": (
        *("maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "grace-hopper"),
        *("blackwell", "grace-blackwell"),
    ),
    "nic-model": (
        *("connectx-4", "connectx-4-lx", "connectx-5", "connectx-6", "connectx-6-dx", "connectx-6-lx"),
        *("connectx-7", "connectx-8", "bluefield-2", "bluefield-3"),
    ),
}
"""Names that need nobody to confirm them: hardware newer than this program is known once both sides name it."""


@rule(
    "KG303",
    "The GPU generation and NIC model of a profile or rule are known, or profile and rule both name them.",
    severity="warning",
)
def hardware_is_known(context: Context) -> Iterator[Finding]:
    """A slip in a name would leave a rule about that hardware unasked."""
    profiles, rules = context.documents.of("profiles").values(), context.documents.of("rules").values()
    for trait, known in KNOWN.items():
        said = {d.value.get("traits", {}).get(trait) for d in profiles} - {None}
        asked = {name for d in rules for name in d.value.get("traits", {}).get(trait, ())}
        for document in profiles:
            name = document.value.get("traits", {}).get(trait)
            if name is not None and name not in {*known, *asked}:
                where, message = document.at("traits", trait), f"no rule names the {trait} {name}"
                yield Finding(where, message, known_are({*known, *asked}, name))
        for document in rules:
            for index, name in enumerate(document.value.get("traits", {}).get(trait, ())):
                if name not in {*known, *said}:
                    where = document.at("traits", trait, index)
                    yield Finding(
                        where, f"no profile has the {trait} {name}", known_are({*known, *said}, name)
                    )

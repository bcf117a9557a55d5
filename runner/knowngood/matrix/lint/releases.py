"""Rules about releases and profiles."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.documents import Document
from knowngood.matrix.lint.judged import Judged
from knowngood.matrix.lint.registry import Context, Finding, known_are, rule
from knowngood.model.matrix import ReleaseStatus, Severity
from knowngood.planner.gates import applicable
from knowngood.planner.rules.evaluation import CLUSTER_TRAITS, Outcome, broken, judges
from knowngood.planner.rules.evaluation import Finding as RuleFinding


@rule("KG201", "A release names only known components.")
def components_exist(context: Context) -> Iterator[Finding]:
    """An unknown component would be compared with nothing."""
    known = context.documents.names("components")
    for document in context.documents.of("releases").values():
        for name in document.value["components"]:
            if name not in known:
                yield Finding(
                    document.at_key("components", name),
                    f"there is no component {name!r}",
                    known_are(known, name),
                )


@rule("KG202", "A release's versions are exact and fit their component's version scheme.")
def versions_fit(context: Context) -> Iterator[Finding]:
    """`26.7` is a line of releases, not one."""
    for document in context.documents.of("releases").values():
        for name, problem in context.judge.unreadable(document.value["components"]).items():
            yield Finding(document.at("components", name), f"{name}: {problem}", "name one exact version")


@rule("KG203", "A release is meant for known hardware profiles.")
def profiles_exist(context: Context) -> Iterator[Finding]:
    """A release for no known machine can't be proven."""
    known = context.documents.names("profiles")
    for document in context.documents.of("releases").values():
        for index, name in enumerate(document.value["profiles"]):
            if name not in known:
                yield Finding(
                    document.at("profiles", index), f"there is no profile {name!r}", known_are(known, name)
                )


@rule(
    "KG204", "A release that is not revoked keeps every blocking compatibility rule on each of its profiles."
)
def blocking_rules_hold(context: Context) -> Iterator[Finding]:
    """The matrix refuses such a release before any cluster sees it."""
    for judged in context.judged:
        if broken([judged.finding], Severity.BLOCK):
            yield _of_rule(judged, "choose another version, or revoke the release")


@rule("KG205", "A release keeps the compatibility rules that warn.", severity="warning")
def warning_rules_hold(context: Context) -> Iterator[Finding]:
    """Shown, not refused."""
    for judged in context.judged:
        if broken([judged.finding], Severity.WARN) and not _accepted(judged):
            name = judged.finding.rule.name
            yield _of_rule(judged, f"choose another version, or say why not under accepts: {{{name}: ...}}")


@rule("KG206", "A release and its profiles name what its compatibility rules ask about.", severity="warning")
def required_components_named(context: Context) -> Iterator[Finding]:
    """A rule that can't be told is not kept."""
    for judged in context.judged:
        finding = judged.finding
        asks = judges(finding.rule) and finding.rule.severity is not Severity.INFO
        # What only a cluster can tell is KG418's.
        open_ = asks and finding.outcome is Outcome.UNKNOWN and finding.component not in CLUSTER_TRAITS
        if open_ and not _accepted(judged):
            yield _of_rule(judged, _untold(context, finding))


def _untold(context: Context, finding: RuleFinding) -> str:
    if finding.version:
        return f"prove it, and say why it is so for this build: accepts: {{{finding.rule.name}: ...}}"
    trait = finding.component not in context.matrix.components
    return f"add {finding.component} to the {'traits of its profile' if trait else 'release'}"


@rule("KG212", "What a release accepts is a warning about it.", severity="warning")
def accepted_is_warned_of(context: Context) -> Iterator[Finding]:
    """A word that outlives its reason would hide the next one."""
    warned: dict[str, set[str]] = {}
    for judged in context.judged:
        finding = judged.finding
        if broken([finding], Severity.WARN) or finding.outcome is Outcome.UNKNOWN:
            warned.setdefault(judged.document.name, set()).add(finding.rule.name)
    mute = context.documents.names("rules") - context.judge.asked
    for document in context.documents.of("releases").values():
        if context.judge.unreadable(document.value["components"]):
            continue
        if not {*document.value["profiles"]} <= {*context.matrix.profiles}:
            continue
        for name in document.value.get("accepts", {}):
            if name not in warned.get(document.name, ()) and name not in mute:
                yield Finding(
                    document.at_key("accepts", name),
                    f"no rule {name} warns of it",
                    "remove it, or correct its name",
                )


def _accepted(judged: Judged) -> bool:
    """Whether a person said why the release has it all the same."""
    return judged.finding.rule.name in judged.document.value.get("accepts", {})


@rule("KG207", "A revoked release says why, and only a revoked one does.")
def revoked_says_why(context: Context) -> Iterator[Finding]:
    """A release is never deleted: the reason is what the next person needs."""
    for document in context.documents.of("releases").values():
        revoked = document.value["status"] == ReleaseStatus.REVOKED
        if revoked and "reason" not in document.value:
            yield Finding(
                document.at_key("status"), f"{document.name} is revoked without a reason", "add `reason`"
            )
        if not revoked and "reason" in document.value:
            yield Finding(document.at_key("reason"), "only a revoked release has a reason", "remove `reason`")


@rule("KG208", "`supersedes` names another known release, without a circle.")
def supersedes_exists(context: Context) -> Iterator[Finding]:
    """Following it back must end."""
    known = context.documents.names("releases")
    releases = context.matrix.releases
    for document in context.documents.of("releases").values():
        name = str(document.value.get("supersedes", ""))
        if name and name not in known:
            yield Finding(document.at("supersedes"), f"there is no release {name!r}", known_are(known, name))
        seen: set[str] = set()
        while name in releases and name not in seen:
            seen.add(name)
            name = releases[name].supersedes
        if document.name in seen:
            yield Finding(
                document.at("supersedes"), f"{document.name} supersedes itself in a circle", "cut it"
            )


@rule("KG209", "No two releases name the same versions.")
def releases_differ(context: Context) -> Iterator[Finding]:
    """Two names for one state would split its evidence."""
    first: dict[tuple[tuple[str, str], ...], Document] = {}
    for document in context.documents.of("releases").values():
        versions = tuple(sorted(document.value["components"].items()))
        other = first.setdefault(versions, document)
        if other is not document:
            yield Finding(
                document.at_key("components"),
                f"{document.name} names the same versions as {other.name} ({other.file})",
                "keep one of them",
            )


@rule("KG210", "A release's rdma-mode is that of the profiles it is meant for, unless another supersedes it.")
def rdma_mode_fits(context: Context) -> Iterator[Finding]:
    """Else drift would be found on every node; a mode that is left behind is a release's to come from."""
    readable = context.documents.of("releases")
    if context.documents.names("releases") - {*readable}:
        return  # one that can't be read may supersede any
    left = {d.value.get("supersedes") for d in readable.values()}
    for document in readable.values():
        mode = None if document.name in left else document.value["components"].get("rdma-mode")
        for name in document.value["profiles"]:
            profile = context.matrix.profiles.get(name)
            if mode and profile and profile.rdma_mode != mode:
                yield Finding(
                    document.at("components", "rdma-mode"),
                    f"rdma-mode is {mode}, profile {name} has {profile.rdma_mode}",
                    "make a release of its own for that profile",
                )


@rule("KG301", "A profile has at least one active and one passive gate that apply to it.")
def profile_is_judged(context: Context) -> Iterator[Finding]:
    """Where nothing judges, nothing is proven."""
    for document in context.documents.of("profiles").values():
        gates = applicable(context.matrix.profiles[document.name])
        for kind, names in (("active", gates.active), ("passive", gates.passive)):
            if not names:
                yield Finding(
                    document.at_key("gates"), f"no {kind} gate applies to {document.name}", "add one"
                )


def _of_rule(judged: Judged, hint: str) -> Finding:
    where = judged.document.at_key("components", judged.finding.component)
    return Finding(where, judged.sentence, hint)


@rule("KG302", "What a gate of a second load is narrowed to can be loaded a second time.")
def second_loads_are_possible(context: Context) -> Iterator[Finding]:
    """A slip in a name would leave the second load out without a word."""
    known = {name for name, spec in context.matrix.movers.items() if spec.again}
    for document in context.documents.of("profiles").values():
        profile = context.matrix.profiles[document.name]
        for gate in applicable(profile).second_load:
            named = profile.gates[gate].get("components", ())
            if wrong := [c for c in named if c not in known]:
                yield Finding(
                    document.at("gates", gate, "components"),
                    f"{gate} names {', '.join(wrong)}, which no second load is known for",
                    f"name some of {', '.join(sorted(known))}, or leave it out",
                )

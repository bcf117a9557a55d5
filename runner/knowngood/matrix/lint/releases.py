"""Rules about releases and profiles."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.matrix.documents import Document
from knowngood.matrix.lint.registry import Context, Finding, rule
from knowngood.model.errors import Location
from knowngood.model.matrix import Matrix, Rule, Severity, Status
from knowngood.planner.gates import applicable
from knowngood.planner.rules import CLUSTER_TRAITS, Outcome, broken, evaluate, judges, readable, traits_of
from knowngood.planner.rules import Finding as RuleFinding
from knowngood.planner.version import key


def _known(names: set[str]) -> str:
    return f"known are {', '.join(sorted(names)) or 'none'}"


@rule("M101", "A release names only known components.")
def components_exist(context: Context) -> Iterator[Finding]:
    """An unknown component would be compared with nothing."""
    known = context.documents.names("components")
    for document in context.documents.of("releases").values():
        for name in document.value["components"]:
            if name not in known:
                yield Finding(
                    document.at_key("components", name), f"there is no component {name!r}", _known(known)
                )


@rule("M102", "A release's versions are exact and fit their component's version scheme.")
def versions_fit(context: Context) -> Iterator[Finding]:
    """`26.7` is a line of releases, not one."""
    for document in context.documents.of("releases").values():
        for name, problem in _unreadable(context.matrix, document).items():
            yield Finding(document.at("components", name), f"{name}: {problem}", "name one exact version")


@rule("M103", "A release is meant for known hardware profiles.")
def profiles_exist(context: Context) -> Iterator[Finding]:
    """A release for no known machine can't be proven."""
    known = context.documents.names("profiles")
    for document in context.documents.of("releases").values():
        for index, name in enumerate(document.value["profiles"]):
            if name not in known:
                yield Finding(document.at("profiles", index), f"there is no profile {name!r}", _known(known))


@rule("M104", "A release that is not revoked keeps every blocking compatibility rule.")
def blocking_rules_hold(context: Context) -> Iterator[Finding]:
    """The matrix refuses such a release before any cluster sees it."""
    for document, finding in _rule_findings(context):
        if finding.outcome is Outcome.BROKEN and finding.rule.severity is Severity.BLOCK:
            yield _of_rule(document, finding, "choose another version, or revoke the release")


@rule("M105", "A release keeps the compatibility rules that warn.", severity="warning")
def warning_rules_hold(context: Context) -> Iterator[Finding]:
    """Shown, not refused."""
    for document, finding in _rule_findings(context):
        if finding in broken([finding], Severity.WARN):
            yield _of_rule(document, finding, "")


@rule("M106", "A release and its profiles name what its compatibility rules ask about.", severity="warning")
def required_components_named(context: Context) -> Iterator[Finding]:
    """A rule that can't be told is not kept."""
    for document, finding in _rule_findings(context):
        asks = judges(finding.rule) and finding.rule.severity is not Severity.INFO
        if asks and finding.outcome is Outcome.UNKNOWN:
            trait = finding.component not in context.matrix.components
            hint = f"add {finding.component} to the {'traits of its profile' if trait else 'release'}"
            yield _of_rule(document, finding, hint)


@rule("M107", "A revoked release says why, and only a revoked one does.")
def revoked_says_why(context: Context) -> Iterator[Finding]:
    """A release is never deleted: the reason is what the next person needs."""
    for document in context.documents.of("releases").values():
        revoked = document.value["status"] == Status.REVOKED
        if revoked and "reason" not in document.value:
            yield Finding(
                document.at_key("status"), f"{document.name} is revoked without a reason", "add `reason`"
            )
        if not revoked and "reason" in document.value:
            yield Finding(document.at_key("reason"), "only a revoked release has a reason", "remove `reason`")


@rule("M108", "A known-good release has evidence that counts as known-good.")
def known_good_is_proven(context: Context) -> Iterator[Finding]:
    """Only `promote` makes a release known-good, and it commits the evidence with it."""
    proven = {
        e.value["release"] for e in context.documents.evidence if e.value["status"] == Status.KNOWN_GOOD
    }
    for document in context.documents.of("releases").values():
        if document.value["status"] == Status.KNOWN_GOOD and document.name not in proven:
            yield Finding(
                document.at("status"),
                f"{document.name} is known-good without evidence",
                f"a run on a pinned cluster writes evidence/<cluster>/{document.name}-<run>.json",
            )


@rule("M109", "`supersedes` names another known release, without a circle.")
def supersedes_exists(context: Context) -> Iterator[Finding]:
    """Following it back must end."""
    known = context.documents.names("releases")
    releases = context.matrix.releases
    for document in context.documents.of("releases").values():
        name = str(document.value.get("supersedes", ""))
        if name and name not in known:
            yield Finding(document.at("supersedes"), f"there is no release {name!r}", _known(known))
        seen: set[str] = set()
        while name in releases and name not in seen:
            seen.add(name)
            name = releases[name].supersedes
        if document.name in seen:
            yield Finding(
                document.at("supersedes"), f"{document.name} supersedes itself in a circle", "cut it"
            )


@rule("M110", "No two releases name the same versions.")
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


@rule("M111", "A release's rdma-mode is that of the profiles it is meant for.")
def rdma_mode_fits(context: Context) -> Iterator[Finding]:
    """Else drift would be found on every node."""
    for document in context.documents.of("releases").values():
        mode = document.value["components"].get("rdma-mode")
        for name in document.value["profiles"]:
            profile = context.matrix.profiles.get(name)
            if mode and profile and profile.rdma_mode != mode:
                yield Finding(
                    document.at("components", "rdma-mode"),
                    f"rdma-mode is {mode}, profile {name} has {profile.rdma_mode}",
                    "make a release of its own for that profile",
                )


@rule("M112", "A profile has at least one active and one passive gate that apply to it.")
def profile_is_judged(context: Context) -> Iterator[Finding]:
    """Where nothing judges, nothing is proven."""
    for document in context.documents.of("profiles").values():
        gates = applicable(context.matrix.profiles[document.name])
        for kind, names in (("active", gates.active), ("passive", gates.passive)):
            if not names:
                yield Finding(
                    document.at_key("gates"), f"no {kind} gate applies to {document.name}", "add one"
                )


def _unreadable(matrix: Matrix, document: Document) -> dict[str, str]:
    """Component -> what is wrong with its version."""
    wrong: dict[str, str] = {}
    for name, version in document.value["components"].items():
        component = matrix.components.get(name)
        try:
            if component:
                key(component.scheme, version)
        except ValueError as error:
            wrong[name] = str(error)
    return wrong


def _rule_findings(context: Context) -> Iterator[tuple[Document, RuleFinding]]:
    """What the compatibility rules say about each release that is not revoked, on each of its profiles.

    Versions and ranges that can't be read are M102's and M004's; they are left out here. What only a cluster can
    tell (its platform, its network) is no release's fault.
    """
    matrix = context.matrix
    rules = [r for r in matrix.rules.values() if readable(r, matrix.components)]
    for document in context.documents.of("releases").values():
        if document.value["status"] == Status.REVOKED:
            continue
        wrong = _unreadable(matrix, document)
        versions = {
            n: v for n, v in document.value["components"].items() if n in matrix.components and n not in wrong
        }
        seen: set[tuple[str, Outcome, str, str]] = set()
        for finding in _on_each_profile(context, document, rules, versions):
            mark = (finding.rule.name, finding.outcome, finding.component, finding.required)
            if mark not in seen and finding.component not in CLUSTER_TRAITS.union(wrong):
                seen.add(mark)
                yield document, finding


def _on_each_profile(
    context: Context, document: Document, rules: list[Rule], versions: dict[str, str]
) -> Iterator[RuleFinding]:
    """The same versions may break a rule on one machine and keep it on another.

    A component that follows another by a range that can't be read is M008's; until then nothing is judged.
    """
    profiles = context.matrix.profiles
    for name in document.value["profiles"]:
        traits = traits_of(profiles[name], None) if name in profiles else {}
        try:
            yield from evaluate(rules, context.matrix.components, versions, traits)
        except ValueError:
            return


def _of_rule(document: Document, finding: RuleFinding, hint: str) -> Finding:
    where: Location = document.at_key("components", finding.component)
    return Finding(where, finding.sentence(), hint)

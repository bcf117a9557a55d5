"""The handover page: what is changed, what is held, and what a human would type next to finish a run by hand."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from knowngood.model import names
from knowngood.model.claims import Hold
from knowngood.model.field import FieldChange, Place
from knowngood.model.matrix import Cluster
from knowngood.model.plan import Hop, Plan, PlannedRing
from knowngood.model.steppath import StepPath
from knowngood.model.text import Page, code, markdown, page
from knowngood.planner.scope import client_of
from knowngood.report.advice import LEFT, headline
from knowngood.report.columns import move
from knowngood.report.estimate import words
from knowngood.report.summary import CommitLine, Summary


def handover(summary: Summary, plan: Plan, cluster: Cluster) -> Page:
    """The page, as Markdown: readable on a terminal, in a ticket and in a chat."""
    kubectl = client_of(cluster)
    so_far = "" if summary.end else " so far"
    parts = [
        f"# {markdown(f'{summary.cluster}: {move(summary.from_release, summary.to_release)}')}",
        "",
        f"Run {code(summary.run)}, {words(summary.seconds)}{so_far}. {markdown(headline(summary))}.",
    ]
    if summary.why:
        parts += ["", f"Why: {markdown(summary.why)}"]
    parts += ["", "## What is changed", "", *_changed(summary)]
    asked = "" if summary.asked else ", as of the journal: the nodes could not be asked"
    parts += ["", f"## What is held{asked}", "", *_held(summary)]
    parts += ["", "## What to type", ""]
    parts += ["Look first:", "", *_block(_look(summary, kubectl))]
    parts += ["", "To take Git back (each revert stands alone; push without force):", ""]
    parts += _block(_revert(summary, plan, cluster))
    moved = _moved(summary, plan)
    if moved:
        parts += [
            "",
            f"Then, node by node, drained, {markdown(plan.words.does)} that Git declares:",
            "",
        ]
        parts += _block(_reload(summary, plan, moved, cluster, kubectl))
    out = _out(summary)
    if out:
        parts += [
            "",
            f"To give a node back, only after its {markdown(plan.words.it)} is right and its gates pass:",
            "",
        ]
        parts += _block(_give_back(summary, out))
    if summary.holds:
        told = (
            "To let those go on whose work is held, once the run has ended (it says first what that starts):"
        )
        parts += ["", told, ""]
        parts += _block(iter(["knowngood clear --holds"]))
    if not summary.end:
        on, back = (code(f"knowngood {verb} {summary.run}") for verb in ("resume", "rollback"))
        back = "it can't be taken back" if summary.no_way_back else f"or take it back: {back}"
        parts += ["", f"Or let knowngood go on: {on}, {back}."]
    return page(parts)


def _changed(summary: Summary) -> list[str]:
    lines = [
        f"- {markdown(f'{c.kind} {c.ring}'.strip())}: commit {code(c.commit)}"
        for c in summary.commits
        if c.kind != "way-back"
    ]
    lines += [
        f"- {markdown(at.ring)}: its commit got no answer, and may be on the branch"
        for at in _unsure(summary)
    ]
    reloaded = [
        f"- {markdown(n)}: {markdown(summary.called)} reloaded {t.reloads} times"
        for n, t in summary.nodes.items()
        if t.reloads
    ]
    return lines + reloaded or ["Nothing."]


def _held(summary: Summary) -> list[str]:
    lines = []
    for node, time in summary.nodes.items():
        why = "; ".join(x for x in (time.why, summary.blamed.get(node, "")) if x)
        match time.now:
            case Hold.IN_SERVICE:
                continue
            case Hold.QUARANTINED:
                told = f"quarantined (taint `{names.QUARANTINE_TAINT}`, cordoned)"
            case Hold.OUT if not time.why:
                told = f"claimed (taint `{names.MAINTENANCE_TAINT}`, cordoned)"
            case _:
                told = str(time.now)
        lines.append(f"- {markdown(node)}: {told}{f': {markdown(why)}' if why else ''}")
    lines += [f"- {markdown(node)}: {markdown(what)}" for node, what in summary.elsewhere.items()]
    lines += [f"- {markdown(what)}: held by this run, {markdown(why)}" for what, why in summary.holds.items()]
    running = not summary.end and not summary.interrupted
    return lines + ([f"- Lease `{names.LEASE}` in namespace `{names.NAMESPACE}`"] if running else []) or [
        "Nothing."
    ]


def _out(summary: Summary) -> list[str]:
    """Nodes that carry something of this run, or may: what another run has taken, or is not there, is not ours."""
    gone = {n for n, t in summary.nodes.items() if t.now is Hold.UNKNOWN} if summary.asked else set()
    return [n for n, t in summary.nodes.items() if t.now in LEFT and n not in gone]


def _moved(summary: Summary, plan: Plan) -> list[str]:
    """Nodes that are out of service, and those whose ring still has our commit: they run what it declares."""
    standing = {_of(c) for c in _standing(summary)}
    rings = [r for hop in plan.hops for r in _of_commits(hop, standing)]
    again = {n for r in rings for n in r.nodes if summary.nodes[n].reloads}
    out = _out(summary)
    return [
        n for n, time in summary.nodes.items() if n in out or (n in again and time.now is Hold.IN_SERVICE)
    ]


def _of_commits(hop: Hop, standing: set[tuple[str, str]]) -> tuple[PlannedRing, ...]:
    """The rings whose nodes run what these commits declare: all of a hop that declares once for all nodes."""
    if hop.fleet and (hop.name, hop.fleet.name) in standing:
        return hop.rings
    return tuple(r for r in hop.rings if (hop.name, r.name) in standing)


def _standing(summary: Summary) -> list[CommitLine]:
    """Commits of the way forward that no undo took back."""
    undone = {_of(c) for c in summary.commits if c.kind == "undo"}
    return [c for c in summary.commits if c.kind == "declare" and _of(c) not in undone]


def _unsure(summary: Summary) -> list[StepPath]:
    """Commits of the way forward whose push got no answer: only the branch knows whether they are there."""
    steps = [StepPath(step.path) for step in summary.steps if step.status == "running"]
    return [at for at in steps if at.verb == "declare" and not at.is_undo]


def _of(commit: CommitLine) -> tuple[str, str]:
    """The hop and the ring that a commit is of: each hop has its own of a ring."""
    at = StepPath(commit.step)
    return at.hop, at.ring


def _look(summary: Summary, kubectl: str) -> Iterator[str]:
    yield f"{kubectl} get nodes -L {names.RING_LABEL}"
    for node in _out(summary):
        yield f"{kubectl} describe node {quote(node)}"
    yield f"{kubectl} -n {names.NAMESPACE} get lease,configmap,job"


def _revert(summary: Summary, plan: Plan, cluster: Cluster) -> Iterator[str]:
    standing, unsure = _standing(summary), _unsure(summary)
    if not (standing or unsure):
        yield "# nothing: Git holds what it held before"
        return
    if cluster.gitops.pull_requests:
        for at in unsure:
            yield f"# {at.ring}: nobody knows whether its pull request of run {summary.run} was opened, or merged: look"
        for commit in reversed(standing):
            branch = names.undo_branch(commit.commit)
            yield f"# {cluster.gitops.branch} takes only pull requests: open one of branch {branch}, and merge it"
        return
    yield f"git clone -b {quote(cluster.gitops.branch)} {quote(cluster.gitops.repo)} gitops && cd gitops"
    for at in unsure:
        yield f"# its push got no answer: if this shows a commit of {at.ring}, revert that one first"
        trailers = (f"{names.TRAILER_RUN}: {summary.run}", f"{names.TRAILER_RING}: {at.ring}")
        yield "git log --oneline --all-match " + " ".join(f"--grep {quote(text)}" for text in trailers)
    for commit in reversed(standing):
        yield f"git revert --no-edit {quote(commit.commit)}"
    for change in _changes(plan, {_of(c) for c in standing}):
        yield f"# must read afterwards: {change.file}: {change.path}: {change.before}"
    yield f"git push origin HEAD:{quote(cluster.gitops.branch)}"


def _changes(plan: Plan, rings: set[tuple[str, str]]) -> Iterator[FieldChange]:
    """What the fields hold once all these commits are taken back: of each the first one's `before`."""
    told: set[Place] = set()
    for hop in plan.hops:
        for change in (c for part in hop.parts if (hop.name, part.name) in rings for c in part.changes):
            if change.place not in told:
                told.add(change.place)
                yield change


def _reload(summary: Summary, plan: Plan, nodes: list[str], cluster: Cluster, kubectl: str) -> Iterator[str]:
    admin = "oc adm" if kubectl == "oc" else kubectl
    for node in nodes:
        if summary.nodes[node].now is Hold.IN_SERVICE:
            yield f"{admin} drain {quote(node)} --ignore-daemonsets --delete-emptydir-data"
        for label in (spec.pods.label for spec in plan.movers.values() if spec.pods):
            yield (
                f"{kubectl} -n {quote(cluster.operator_namespace)} delete pod"
                f" -l {quote(label)} --field-selector spec.nodeName={quote(node)}"
            )


def _give_back(summary: Summary, nodes: list[str]) -> Iterator[str]:
    if not summary.end:
        run = quote(summary.run)
        yield f"knowngood abort {run} --hold && knowngood resume {run}  # ends the run as it is"
    for node in nodes:
        yield f"knowngood clear {quote(node)}"


def _block(lines: Iterator[str]) -> list[str]:
    return ["```sh", *lines, "```"]

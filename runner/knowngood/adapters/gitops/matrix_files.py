"""What a record changes in a matrix: which files get which text. Reads a folder as it lies there, writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowngood.adapters.gitops.gate_suite import digest_at, suite_of
from knowngood.matrix import build, documents
from knowngood.matrix.locate import gates_dir, own_gates
from knowngood.matrix.span_edit import edit_scalar, read_scalar
from knowngood.model import names
from knowngood.model.errors import UsageError
from knowngood.model.evidence import FAILED, INCONCLUSIVE, REFUSED, Appraisal, Evidence, by_pool, evidence_of
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import ReleaseStatus
from knowngood.model.values import Object, Values
from knowngood.planner.status import RANK, Standard, appraise_pools, moment, raised

TRAILER_CLUSTER = "Knowngood-Cluster"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_NAME = 255
"""Of a file, in most file systems."""
CLOSED = set(ReleaseStatus) - set(RANK)
"""Statuses that no proof changes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One commit to be: `texts` by file, `proof` the evidence among them. `note`: what a reader must hear."""

    subject: str
    trailers: Mapping[str, str]
    proof: Path
    texts: Mapping[Path, str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """What a plan starts from and goes to, as a matrix says it."""

    pin: str
    status: str
    components: Values

    def behind(self, there: Start, release: str) -> str:
        """Why a plan from this matrix is not one from the matrix `there`; "" where it is."""
        if self.pin != there.pin:
            return f"it pins {there.pin}, here it is {self.pin}"
        if self.components != there.components:
            return f"{release} has other versions there"
        closed = there.status == ReleaseStatus.REVOKED != self.status
        return f"{release} is revoked there" if closed else ""


class MatrixFiles:
    """The matrix in `folder`. `known` is another checkout, asked for commits that this one's repository lacks.

    `beside` is what the release's status is on a branch that this one is to be merged into.
    """

    def __init__(self, folder: Path, known: Path | None = None, *, beside: str = "") -> None:
        self.folder = folder
        self._known = known
        self._beside = beside

    def appraise(self, evidence: Values, now: str) -> Appraisal:
        """By the files as they are now; what is broken elsewhere in the matrix does not matter here."""
        found = documents.read(self.folder)
        values = build.matrix(found)
        taken = evidence_of(evidence)
        gates, gates_from = self._gates_for(taken)
        others = tuple(part for e in found.evidence for part in by_pool(evidence_of(e.value)))

        def standard(profile: str) -> Standard:
            return Standard(
                release=values.releases.get(taken.release),
                profile=values.profiles.get(profile),
                cluster=values.clusters.get(taken.cluster),
                components=values.components,
                gates=gates,
                gates_from=gates_from,
                now=now,
                others=others,
            )

        return appraise_pools(taken, standard)

    def start(self, release: str, cluster: str) -> Start:
        """What a plan for the cluster starts from and goes to."""
        text, file = _text(path := self.file("releases", f"{release}.yaml")), str(path)
        found = documents.document(text, release, file, "release", [])
        pinned = self.file("clusters", f"{cluster}.yaml")
        return Start(
            pin=read_scalar(_text(pinned), "release", file=str(pinned)),
            status=read_scalar(text, "status", file=file),
            components=dict(found.value.get("components") or {}),
        )

    def promotion(self, release: str, status: str, cluster: str, evidence: Values) -> Change:
        """A run's end: evidence, status and pin. The pin stays where a later run has moved it."""
        texts, note = self._raised(release, status)
        cluster_file = self.file("clusters", f"{cluster}.yaml")
        if later := next(self._later(cluster, evidence), ""):
            note = "; ".join(x for x in (note, f"run {later} came later, so {cluster}'s pin stays") if x)
        else:
            texts |= {cluster_file: self._edited(cluster_file, "release", release)}
        subject = f"{release} is {status}: {'run' if status == REFUSED else 'proven'} on {cluster}"
        return self._change(subject, release, cluster, evidence, texts, note)

    def renewal(self, release: str, status: str, evidence: Values) -> Change:
        """Evidence that a person brings, and the status it earns; pins nothing."""
        texts, note = self._raised(release, status)
        cluster = str(evidence["cluster"])
        return self._change(
            f"{release} is {status}: proven on {cluster}", release, cluster, evidence, texts, note
        )

    def failure(self, release: str, cluster: str, evidence: Values) -> Change:
        """Evidence of a failed run, and nothing else."""
        return self._change(f"{release} was not proven on {cluster}", release, cluster, evidence, {})

    def file(self, folder: str, name: str) -> Path:
        """A file that must be there."""
        path = self.folder / folder / name
        if not path.is_file():
            raise UsageError("there is no such file in the matrix", where=f"{folder}/{name}")
        return path

    def _raised(self, release: str, status: str) -> tuple[dict[Path, str], str]:
        """The release's file with its new status, where that is a better one; else perhaps why it is not raised."""
        file = self.file("releases", f"{release}.yaml")
        here = read_scalar(_text(file), "status", file=str(file))
        present = self._beside if self._beside in CLOSED else here
        if raises(present, status):
            return {file: self._edited(file, "status", status)}, ""
        closed = present in CLOSED and status != REFUSED
        return {}, f"{release} is {present} by now and stays so" if closed else ""

    def _later(self, cluster: str, evidence: Values) -> Iterator[str]:
        """Runs on the cluster that ended after this one with its release in place."""
        for path in sorted((self.folder / "evidence" / cluster).glob("*.json")):
            try:
                other = json.loads(_text(path))
                proved = other["status"] not in (FAILED, INCONCLUSIVE)
                if proved and moment(str(other["time"])) > moment(str(evidence["time"])):
                    yield str(other["run"])
            except (ValueError, KeyError, TypeError):
                continue  # `validate` speaks of it

    def _gates_for(self, evidence: Evidence) -> tuple[str, str]:
        """The digest that the evidence's gates must have, and whose it is.

        That of the commit it names, where a repository here has it and keeps gates; else this program's own.
        """
        for folder in (self.folder, self._known):
            if folder and (at_commit := digest_at(folder, evidence.gates.commit)):
                return at_commit, f"commit {evidence.gates.commit[:12]}"
        return suite_of(gates_dir(), own_gates(self.folder)).digest, "this program"

    def _change(
        self,
        subject: str,
        release: str,
        cluster: str,
        evidence: Values,
        texts: Mapping[Path, str],
        note: str = "",
    ) -> Change:
        trailers = key_of(release, cluster, evidence)
        proof = self.folder / proof_of(trailers)
        text = json.dumps(to_json(evidence), indent=2, sort_keys=True) + "\n"
        return Change(subject, trailers, proof, {proof: text, **texts}, note)

    def _edited(self, file: Path, path: str, value: str) -> str:
        return edit_scalar(_text(file), path, value, file=str(file))


def key_of(release: str, cluster: str, evidence: Values) -> dict[str, str]:
    """The trailers by which a record is found again; UsageError for a name that no file can have."""
    run = str(evidence.get("run", ""))
    for name in (release, cluster, run):
        if not _NAME.fullmatch(name) or len(f"{release}-{run}.json") > MAX_NAME:
            raise UsageError(f"{name!r} can't name an evidence file")
    return {names.TRAILER_RUN: run, names.TRAILER_RELEASE: release, TRAILER_CLUSTER: cluster}


def proof_of(key: Mapping[str, str]) -> str:
    """The evidence file of a record, below the matrix."""
    file = f"{key[names.TRAILER_RELEASE]}-{key[names.TRAILER_RUN]}.json"
    return f"evidence/{key[TRAILER_CLUSTER]}/{file}"


def raises(present: str, earned: str) -> bool:
    """Whether `earned` is a better status than `present`; a revoked or deprecated release is never touched."""
    if present not in set(ReleaseStatus) or earned not in set(ReleaseStatus):
        return False
    return raised(ReleaseStatus(present), ReleaseStatus(earned)) is not ReleaseStatus(present)


def counted(evidence: Values, worth: Appraisal) -> Object:
    """Evidence that says what it is worth."""
    status = worth.status.value if worth.status else REFUSED
    expires = worth.expires or str(evidence.get("expires", ""))
    return {**evidence, "status": status, "because": worth.because, "expires": expires}


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file can't be read: {error}", where=str(file)) from error

"""BMCs by Redfish: which firmware runs, and which jobs are there, over TLS that is proven.

What is asked of a BMC to change something goes through `Bmc.ask`, too, and stands in movers/redfish_acts.

Resources: DMTF DSP0266 (protocol) and DSP2046 (schemas): ServiceRoot, ComputerSystem, Manager, JobService, TaskService.
Dell's iDRAC keeps its queue beside that of the standard. What a BMC answers is not trusted: links are followed on its
own host only, below /redfish/v1, so many of them, and so many bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import urllib3

from knowngood.adapters.cluster.alertmanager import secret
from knowngood.model.bmcs import BmcJob, Bmcs, BmcState
from knowngood.model.errors import Unreachable, UsageError
from knowngood.model.mover import Firmware
from knowngood.model.values import Object, Values
from knowngood.planner.readiness.bmc_jobs import is_over

ROOT = "/redfish/v1"
TIMEOUT = 15.0  # seconds; a BMC is slow, and answers within a few
MOST_BYTES = 2_000_000
MOST_MEMBERS = 500
"""Of one collection: an iDRAC keeps some 250 jobs."""
MOST_PAGES = 50
EXPANDED = "?$expand=.($levels=1)"
"""Asks for a collection with its members, where a service says that it can: else each is a request."""
WORKERS = 16
"""BMCs that are asked at the same time."""


def user_of(at: Bmcs) -> str:
    """NAME:PASSWORD. UsageError where it is not to be had."""
    user = secret(at.credentials, "bmcs.credentials")
    if ":" not in user:
        raise UsageError(
            f"{at.credentials} is not NAME:PASSWORD", hint="bmcs.credentials names where both are"
        )
    return user


def bmc_of(at: Bmcs, node: str) -> Bmc:
    """A node's BMC. UsageError where no credentials are to be had."""
    return Bmc(at.of_node(node), user_of(at), at.ca)


def running(at: Bmcs) -> Callable[[str], Mapping[Firmware, str]] | None:
    """Tells which firmware a node's BMC says that runs; None where the cluster file names no BMCs."""
    return (lambda node: bmc_of(at, node).runs()) if at.at else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a BMC answers: `body` is {} where it is no resource."""

    status: int
    headers: Mapping[str, str]
    body: Object


@dataclass
class Bmc:
    """One BMC that is asked."""

    url: str
    user: str = field(repr=False)
    ca: str = ""
    _expands: bool = False
    _pool: urllib3.PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pool = urllib3.PoolManager(ca_certs=self.ca or None)

    def state(self) -> BmcState:
        """All that is read of it."""
        root = self.root()
        managers = list(self.members(root, "Managers"))
        found = self._versions(list(self.members(root, "Systems")), managers)
        versions = {"bios": found[Firmware.SYSTEM], "bmc": found[Firmware.MANAGER]}
        jobs: dict[str, BmcJob] = {}
        for job in (*self.tasks(root), *self.jobs(root), *self.dells(managers)):
            # A job may be a task, too, in other words: what is Scheduled in an iDRAC's queue is Starting as a task.
            if job.name not in jobs or is_over(jobs[job.name]) or not is_over(job):
                jobs[job.name] = job
        return BmcState({name: v for name, v in versions.items() if v}, tuple(jobs.values()))

    def root(self) -> Object:
        """Its root, by which it also says whether it gives a collection whole."""
        root = self.get(ROOT)
        self._expands = bool(inside(root, "ProtocolFeaturesSupported", "ExpandQuery").get("NoLinks"))
        return root

    def runs(self) -> Mapping[Firmware, str]:
        """Which firmware runs, "" where it does not tell: no more is read."""
        root = self.root()
        return self._versions(list(self.members(root, "Systems")), list(self.members(root, "Managers")))

    @staticmethod
    def _versions(systems: Sequence[Values], managers: Sequence[Values]) -> dict[Firmware, str]:
        told = (m.get("FirmwareVersion") for m in bmcs_of(managers))
        return {
            Firmware.SYSTEM: _one("BiosVersion of its systems", (s.get("BiosVersion") for s in systems)),
            Firmware.MANAGER: _one("FirmwareVersion of its managers", told),
        }

    def tasks(self, root: Values) -> Iterator[BmcJob]:
        """Those of the task service."""
        service = self.linked(root, "Tasks")
        for task in self.members(service, "Tasks"):
            yield _job(task, "TaskState")

    def jobs(self, root: Values) -> Iterator[BmcJob]:
        """Those of the job service."""
        service = self.linked(root, "JobService")
        for job in self.members(service, "Jobs"):
            yield _job(job, "JobState")

    def dells(self, managers: Sequence[Values]) -> Iterator[BmcJob]:
        """Those of an iDRAC's own queue."""
        for manager in managers:
            for job in self.members(inside(manager, "Links", "Oem", "Dell"), "Jobs"):
                yield _job(job, "JobState")

    def linked(self, value: Values, name: str, query: str = "") -> Object:
        """What a link of a resource leads to; {} where it has none."""
        link = inside(value, name).get("@odata.id")
        return self.get(f"{link}{query}") if link else {}

    def members(self, value: Values, name: str) -> Iterator[Object]:
        """The members of a collection that a resource links to, page by page."""
        page, seen = self.linked(value, name, EXPANDED if self._expands else ""), 0
        for _ in range(MOST_PAGES):
            if not page:
                return
            for member in page.get("Members") or ():
                seen += 1
                if seen > MOST_MEMBERS:
                    raise Unreachable(f"it has more than {MOST_MEMBERS} {name}", where=self.url)
                if not isinstance(member, dict):
                    raise Unreachable(f"a member of {name} is no resource", where=self.url)
                whole = set(member) - {"@odata.id", "@odata.etag"}
                yield member if whole else self.get(str(member.get("@odata.id")))
            link = page.get("Members@odata.nextLink") or page.get("@odata.nextLink")
            page = self.get(str(link)) if link else {}
        raise Unreachable(f"its {name} do not end", where=self.url)

    def get(self, link: str) -> Object:
        """One resource. Raises Unreachable."""
        answer = self.ask("GET", link)
        if answer.status in {401, 403}:
            raise Unreachable(f"it does not take our credentials ({answer.status})", where=self.url)
        if answer.status != 200:
            raise Unreachable(f"{link} answers {answer.status}", where=self.url)
        if not answer.body:
            raise Unreachable(f"{link} is no Redfish resource", where=self.url)
        return answer.body

    def ask(
        self,
        method: str,
        link: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Answer:
        """One request. Raises Unreachable. Only a GET is sent a second time where no answer comes."""
        if not f"{link}/".startswith(f"{ROOT}/") or ".." in link:
            raise Unreachable(f"it links to {link[:80]!r}, which is none of its resources", where=self.url)
        own = urllib3.make_headers(basic_auth=self.user) | {"Accept": "application/json"}
        try:
            answer = self._pool.request(
                method,
                self.url + link,
                body=body or None,
                headers={**own, **(headers or {})},
                timeout=timeout,
                retries=urllib3.Retry(total=2 if method == "GET" else 0, redirect=0, status=0),
                redirect=False,
                preload_content=False,
            )
            data = answer.read(MOST_BYTES + 1)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"{link}: {_words(error)}", where=self.url) from error
        if len(data) > MOST_BYTES:
            raise Unreachable(f"{link} answers more than {MOST_BYTES} bytes", where=self.url)
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        return Answer(answer.status, answer.headers, found if isinstance(found, dict) else {})


def inside(value: Values, *names: str) -> Object:
    """An object inside a resource, {} where there is none."""
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def bmcs_of(managers: Sequence[Values]) -> list[Values]:
    """The managers that are BMCs: a machine may have others, as of its enclosure."""
    return [m for m in managers if m.get("ManagerType", "BMC") == "BMC"]


def _one(what: str, values: Iterator[Any]) -> str:
    """The version that all share, "" where none is told. Unreachable where they differ: whose is meant?"""
    found = sorted({str(v).strip() for v in values if v})
    if len(found) > 1:
        raise Unreachable(f"{what} differ: {', '.join(found)[:200]}")
    return found[0] if found else ""


def _job(value: Values, key: str) -> BmcJob:
    """A job or task. Its message is the newest one that it tells."""
    said = [m.get("Message") for m in value.get("Messages") or () if isinstance(m, dict)]
    percent = value.get("PercentComplete")
    return BmcJob(
        name=str(value.get("Id") or value.get("@odata.id") or "without a name"),
        # A task of an iDRAC's has its job's state inside, which says more: Scheduled, not Starting.
        state=str(inside(value, "Oem", "Dell").get("JobState") or value.get(key) or ""),
        what=str(value.get("Name") or ""),
        message=str(value.get("Message") or (said[-1] if said else "") or "")[:200],
        percent=percent if isinstance(percent, int) else -1,
        link=str(value.get("@odata.id") or ""),
    )


def _words(error: Exception) -> str:
    """What went wrong, without the request, whose headers have the password."""
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}"

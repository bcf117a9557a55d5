"""BMCs by Redfish: which firmware runs, and which jobs are there. Reads only, over TLS that is proven.

Resources: DMTF DSP0266 (protocol) and DSP2046 (schemas): ServiceRoot, ComputerSystem, Manager, JobService, TaskService.
Dell's iDRAC keeps its queue beside that of the standard. What a BMC answers is not trusted: links are followed on its
own host only, below /redfish/v1, so many of them, and so many bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import urllib3

from knowngood.adapters.cluster.alertmanager import secret
from knowngood.model.bmcs import BmcJob, Bmcs, BmcState
from knowngood.model.errors import Unreachable, UsageError
from knowngood.model.values import Object, Values
from knowngood.planner.readiness.bmc_jobs import is_over
from knowngood.ports.bmcs import BmcReader

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


class RedfishReader(BmcReader):
    """The BMCs that a cluster file names."""

    def __init__(self, at: Bmcs) -> None:
        self._at = at

    def look(self, nodes: Sequence[str]) -> Mapping[str, BmcState]:
        """See the port."""
        if not self._at.at or not nodes:
            return {}
        user = secret(self._at.credentials, "bmcs.credentials")
        if ":" not in user:
            raise UsageError(
                f"{self._at.credentials} is not NAME:PASSWORD", hint="bmcs.credentials names where both are"
            )
        with ThreadPoolExecutor(max_workers=min(len(nodes), WORKERS)) as pool:
            found = pool.map(partial(_look, self._at, user), nodes)
            return dict(zip(nodes, found, strict=True))


def _look(at: Bmcs, user: str, node: str) -> BmcState:
    """One BMC."""
    bmc = _Bmc(at.of_node(node), user, at.ca)
    try:
        return bmc.state()
    except Unreachable as error:
        return BmcState(trouble=str(error))


@dataclass
class _Bmc:
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
        root = self.get(ROOT)
        self._expands = bool(_at(root, "ProtocolFeaturesSupported", "ExpandQuery").get("NoLinks"))
        systems = list(self.members(root, "Systems"))
        managers = list(self.members(root, "Managers"))
        versions = {
            "bios": _one("BiosVersion of its systems", (s.get("BiosVersion") for s in systems)),
            "bmc": _one(
                "FirmwareVersion of its managers", (m.get("FirmwareVersion") for m in _bmcs(managers))
            ),
        }
        jobs: dict[str, BmcJob] = {}
        for job in (*self.tasks(root), *self.jobs(root), *self.dells(managers)):
            if job.name not in jobs or is_over(jobs[job.name]):  # a job may be a task, too
                jobs[job.name] = job
        return BmcState({name: v for name, v in versions.items() if v}, tuple(jobs.values()))

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
            for job in self.members(_at(manager, "Links", "Oem", "Dell"), "Jobs"):
                yield _job(job, "JobState")

    def linked(self, value: Values, name: str, query: str = "") -> Object:
        """What a link of a resource leads to; {} where it has none."""
        link = _at(value, name).get("@odata.id")
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
        if not f"{link}/".startswith(f"{ROOT}/") or ".." in link:
            raise Unreachable(f"it links to {link[:80]!r}, which is none of its resources", where=self.url)
        headers = urllib3.make_headers(basic_auth=self.user) | {"Accept": "application/json"}
        try:
            answer = self._pool.request(
                "GET",
                self.url + link,
                headers=headers,
                timeout=TIMEOUT,
                retries=urllib3.Retry(total=2, redirect=0, status=0),
                redirect=False,
                preload_content=False,
            )
            data = answer.read(MOST_BYTES + 1)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"{link}: {_words(error)}", where=self.url) from error
        if answer.status in {401, 403}:
            raise Unreachable(f"it does not take our credentials ({answer.status})", where=self.url)
        if answer.status != 200 or len(data) > MOST_BYTES:
            raise Unreachable(f"{link} answers {answer.status}, {len(data)} bytes", where=self.url)
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreachable(f"{link} is no Redfish resource", where=self.url)
        return found


def _at(value: Values, *names: str) -> Object:
    """An object inside a resource, {} where there is none."""
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _bmcs(managers: Sequence[Values]) -> list[Values]:
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
        state=str(value.get(key) or value.get("TaskState") or value.get("JobState") or ""),
        what=str(value.get("Name") or ""),
        message=str(value.get("Message") or (said[-1] if said else "") or "")[:200],
        percent=percent if isinstance(percent, int) else -1,
    )


def _words(error: Exception) -> str:
    """What went wrong, without the request, whose headers have the password."""
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}"

"""What a BMC of the twin tells, at each moment of its flashes: by DMTF's rules for resources (DSP0266), as far as they
need no schema. The rest is shown by DMTF's own validator, by hand: see CONTRIBUTING.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from tests.flashing import BIOS, BMC, image

from knowngood.twin.bmc import DELL, DMTF, Bmc
from knowngood.twin.redfish_resources import ROOT, metadata, resources
from knowngood.twin.values import Object

Told = dict[str, Object]
TASK_STATES = {"New", "Running", "Completed", "Exception"}
"""What is seen of DMTF's TaskState (Task 1.7)."""
STATES = {DMTF: TASK_STATES | {"Pending"}, DELL: TASK_STATES | {"Starting", "UserIntervention"}}
"""UserIntervention is an iDRAC's word, not DMTF's."""


def looks(dialect: str) -> list[Told]:
    """All that it tells, whenever it waits for something: images that are taken, refused, staged, and a boot."""
    found: list[Told] = []
    faults: set[str] = set()

    def look() -> None:
        found.append(resources(bmc))

    async def sleep(_seconds: float) -> None:
        look()

    async def boots(_cause: str) -> None:
        bmc.booted()

    async def play() -> None:
        look()
        bmc.sessions["4711"] = "its-token"
        bmc.stage_foreign()
        for fault, part, when in product(
            ("", "bmc-task-exception", "job-reboot-pending"), ("bios", "bmc"), ("Immediate", "OnReset")
        ):
            faults.clear()
            faults.add(fault)
            bmc.take(image(part, "3.0"), when)
            look()
            while bmc._work:
                await asyncio.sleep(0)
            look()
        await bmc.reset_host("ForceRestart")
        look()

    bmc = Bmc(dialect, {"bios": BIOS, "bmc": BMC}, boots, sleep, lambda name, _version: name in faults)
    asyncio.run(play())
    return found


@pytest.fixture(scope="module", params=[DMTF, DELL])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def told(dialect: str) -> list[Told]:
    return looks(dialect)


def inner(value: Any) -> Iterator[Object]:
    """Each object in a resource, itself first."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inner(part)


def each(told: list[Told]) -> Iterator[tuple[str, Object]]:
    return ((at, resource) for look in told for at, resource in look.items())


def links(resource: Object) -> set[str]:
    """What a resource leads to."""
    return {str(o["@odata.id"]) for o in inner(resource) if "@odata.id" in o} - {resource["@odata.id"]}


def test_its_tasks_were_seen_in_all_their_states(dialect: str, told: list[Told]) -> None:
    seen = {resource["TaskState"] for at, resource in each(told) if "/Tasks/" in at}
    assert seen == STATES[dialect]


def test_each_resource_says_where_it_is_and_what_it_is(told: list[Told]) -> None:
    for at, resource in each(told):
        assert resource["@odata.id"] == at
        kind = re.fullmatch(r"#(\w+)\.(?:v\d+_\d+_\d+\.)?(\w+)", resource["@odata.type"])
        assert kind, at
        assert kind[1] == kind[2], at
        assert resource["Name"], at
        if kind[1].endswith("Collection"):
            assert "Id" not in resource, at
        else:
            assert resource["Id"] == ("RootService" if at == ROOT else at.rpartition("/")[2])


def test_each_link_leads_to_a_resource_and_each_resource_is_linked(told: list[Told]) -> None:
    for look in told:
        led = {at: links(resource) for at, resource in look.items()}
        assert set().union(*led.values()) | {ROOT} == set(look)


def test_a_collections_count_is_that_of_its_members(told: list[Told]) -> None:
    collections = [resource for _, resource in each(told) if "Members" in resource]
    for one in collections:
        paths = [member["@odata.id"] for member in one["Members"]]
        assert one["Members@odata.count"] == len(set(paths)) == len(paths)
        assert all(path.rpartition("/")[0] == one["@odata.id"] for path in paths)
    assert any(len(one["Members"]) > 1 for one in collections)


def test_an_actions_target_is_below_its_resource(told: list[Told]) -> None:
    seen = set()
    for at, resource in each(told):
        for name, action in resource.get("Actions", {}).items():
            seen.add(name)
            assert action["target"] == f"{at}/Actions/{name.removeprefix('#')}"
    assert seen == {"#ComputerSystem.Reset", "#Manager.Reset", "#UpdateService.SimpleUpdate"}


def test_what_it_does_not_know_it_leaves_out(told: list[Told]) -> None:
    for at, resource in each(told):
        for part in inner(resource):
            assert not [name for name, value in part.items() if value in ("", None)], at


def test_what_vendors_add_names_its_type(told: list[Told]) -> None:
    added = [part["Oem"]["Dell"] for _, one in each(told) for part in inner(one) if part.get("Oem")]
    for one in added:
        assert one["@odata.type"].startswith("#Dell")


def test_the_schemas_of_all_that_it_tells_are_offered(dialect: str, told: list[Told]) -> None:
    async def nowhere(_cause: str) -> None:
        raise AssertionError

    text = metadata(f"{ROOT}/$metadata", Bmc(dialect, {}, nowhere)).text or ""
    offered = set(re.findall(r'Include Namespace="([\w.]+)"', text))
    types = {p["@odata.type"] for _, one in each(told) for p in inner(one) if "@odata.type" in p}
    wanted = {kind[1:].rpartition(".")[0] for kind in types if not kind.startswith("#Dell")}
    assert wanted <= offered
    assert 'Extends="ServiceRoot.v1_0_0.ServiceContainer"' in text, "later versions have none"
    assert "ServiceRoot.v1_0_0" in offered

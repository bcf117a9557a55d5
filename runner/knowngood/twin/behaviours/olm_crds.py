"""How a plan replaces a definition: the bundle's own, older or newer, after every object was held against it.

Two refusals: a stored version that the new definition lacks ("risk of data loss"), and an object that the new
schema does not accept. Fields that only the newer schema knew are no refusal: the server prunes them at the next
write.
"""

from __future__ import annotations

from typing import Any

from knowngood.twin.api.structural import validate
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import name_of
from knowngood.twin.behaviours.olm_objects import DEFINITION
from knowngood.twin.client import ClientError
from knowngood.twin.values import Object


class Refused(Exception):
    """The definition stays as it is; the message is what OLM writes into the plan."""


async def put(twin: Twin, wanted: Object, package: str) -> str:
    """Create the definition or replace the one that is there. Returns the step's status; Refused."""
    try:
        live = await twin.client.get(DEFINITION, name_of(wanted))
    except ClientError as error:
        if error.code != 404:
            raise
        await twin.api.create(wanted)
        return "Created"
    fault = twin.faults.active("olm-crd-data-loss")
    lost = fault.param("stored", "v1beta1") if fault and fault.param("package") in {"", package} else ""
    if fault and lost:
        twin.faults.hit(fault, definition=name_of(wanted))
    _check_versions(live, wanted, lost)
    await _check_objects(twin, live, wanted)
    if _declared(live) != _declared(wanted):
        replaced = {**live, "spec": wanted["spec"]}
        await twin.client.replace(replaced)
        twin.events.write("definition-replaced", definition=name_of(wanted))
    return "Present"


def _declared(crd: Object) -> list[Any]:
    return [crd["spec"]["versions"], crd["spec"].get("conversion", {"strategy": "None"})]


def _check_versions(live: Object, wanted: Object, lost: str) -> None:
    offered = {version["name"] for version in wanted["spec"]["versions"]}
    stored = [*((live.get("status") or {}).get("storedVersions") or ()), *([lost] if lost else [])]
    for version in stored:
        if version not in offered:
            raise Refused(
                f'risk of data loss updating "{name_of(wanted)}": new CRD removes version {version} '
                "that is listed as a stored version on the existing CRD"
            )


async def _check_objects(twin: Twin, live: Object, wanted: Object) -> None:
    group, kind = wanted["spec"]["group"], wanted["spec"]["names"]["kind"]
    served = {version["name"] for version in live["spec"]["versions"] if version["served"]}
    for version in wanted["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        if version["name"] not in served:
            continue
        for obj in (await twin.client.list((f"{group}/{version['name']}", kind))).items:
            if causes := validate(obj, schema):
                why = "; ".join(f"{one['field']}: {one['message']}" for one in causes)
                raise Refused(
                    f'error validating existing CRs against new CRD\'s schema for "{name_of(wanted)}": '
                    f'error validating {obj["apiVersion"]}, Kind={kind} "{name_of(obj)}": '
                    f"updated validation is too restrictive: {why}"
                )

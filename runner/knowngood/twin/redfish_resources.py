"""The resources of one BMC, by path, as DMTF's schemas have them; an iDRAC has its own queue beside."""

from __future__ import annotations

from aiohttp import web

from knowngood.twin.bmc import DELL, Bmc, Job
from knowngood.twin.values import Object

ROOT = "/redfish/v1"
RESETS = ["On", "ForceOff", "ForceRestart", "GracefulRestart", "PowerCycle"]
SCHEMAS = (
    ("ServiceRoot", "v1_16_0"),
    ("ComputerSystem", "v1_22_0"),
    ("ComputerSystemCollection", ""),
    ("Manager", "v1_19_0"),
    ("ManagerCollection", ""),
    ("UpdateService", "v1_14_0"),
    ("SoftwareInventory", "v1_10_0"),
    ("SoftwareInventoryCollection", ""),
    ("TaskService", "v1_2_0"),
    ("Task", "v1_7_0"),
    ("TaskCollection", ""),
    ("SessionService", "v1_1_9"),
    ("Session", "v1_7_0"),
    ("SessionCollection", ""),
    ("Message", "v1_2_0"),
    ("Settings", "v1_3_5"),
    ("RedfishExtensions", "v1_0_0"),
)
"""Each that its resources are of, but for Dell's own, which it does not offer."""
CONTAINER = "ServiceRoot.v1_0_0"
"""Where the service's container is defined; later versions have none."""
TYPES = {name: f"#{name}.{version}.{name}" if version else f"#{name}.{name}" for name, version in SCHEMAS}
BACKWARDS = {"Downloading": "Running", "Scheduled": "Starting", "Failed": "Exception"}
"""An iDRAC's own states, as its task service words them. UserIntervention it leaves as it is, though DMTF's TaskState
has no such word: Dell's own scripts wait for it (iDRAC-Redfish-Scripting, DeviceFirmwareSimpleUpdateREDFISH).
"""


def _link(path: str) -> Object:
    return {"@odata.id": f"{ROOT}{path}"}


def _of(kind: str, path: str, name: str, **more: object) -> Object:
    found = {"@odata.id": f"{ROOT}{path}", "@odata.type": TYPES[kind], "Name": name, **more}
    return found if kind.endswith("Collection") else {"Id": path.rpartition("/")[2] or "RootService", **found}


def _collection(kind: str, path: str, name: str, members: list[str]) -> Object:
    rows = [_link(member) for member in members]
    return _of(f"{kind}Collection", path, name, Members=rows, **{"Members@odata.count": len(rows)})


def _system(bmc: Bmc, at: str) -> Object:
    reset = f"{ROOT}{at}/Actions/ComputerSystem.Reset"
    return _of(
        "ComputerSystem",
        at,
        "System",
        SystemType="Physical",
        BiosVersion=bmc.versions["bios"],
        PowerState="On",
        Status={"State": "Enabled", "Health": "OK"},
        Actions={
            "#ComputerSystem.Reset": {"target": reset, "ResetType@Redfish.AllowableValues": RESETS},
        },
    )


def _manager(bmc: Bmc, at: str) -> Object:
    reset = f"{ROOT}{at}/Actions/Manager.Reset"
    links = {"@odata.type": "#DellOem.v1_3_0.DellOemLinks", "Jobs": _link(f"{at}/Oem/Dell/Jobs")}
    more: Object = {"Links": {"Oem": {"Dell": links}}} if _is_dell(bmc) else {}
    return _of(
        "Manager",
        at,
        "Manager",
        ManagerType="BMC",
        FirmwareVersion=bmc.versions["bmc"],
        Status={"State": "Enabled", "Health": "OK"},
        Actions={
            "#Manager.Reset": {
                "target": reset,
                "ResetType@Redfish.AllowableValues": ["GracefulRestart", "ForceRestart"],
            }
        },
        **more,
    )


def _is_dell(bmc: Bmc) -> bool:
    return bmc.dialect == DELL


def _update_service(bmc: Bmc) -> Object:
    """An iDRAC is pushed to, the other one fetches: so both ways are played."""
    times = {
        "@odata.type": "#Settings.v1_3_5.OperationApplyTimeSupport",
        "SupportedValues": ["Immediate", "OnReset"],
    }
    action = {
        "target": f"{ROOT}/UpdateService/Actions/UpdateService.SimpleUpdate",
        "TransferProtocol@Redfish.AllowableValues": ["HTTPS"],
        "@Redfish.OperationApplyTimeSupport": times,
    }
    pushed = {
        "MultipartHttpPushUri": f"{ROOT}/UpdateService/upload",
        "MultipartHttpPushUri@Redfish.OperationApplyTimeSupport": times,
    }
    return _of(
        "UpdateService",
        "/UpdateService",
        "Update Service",
        ServiceEnabled=True,
        FirmwareInventory=_link("/UpdateService/FirmwareInventory"),
        Actions={"#UpdateService.SimpleUpdate": action},
        **(pushed if _is_dell(bmc) else {}),
    )


def _task(bmc: Bmc, job: Job) -> Object:
    at = f"/TaskService/Tasks/{job.name}"
    state = _task_state(bmc, job)
    failed = state == "Exception"
    over: Object = {"PercentComplete": job.percent} if job.percent else {}
    if not _is_dell(bmc):
        over |= {"TaskMonitor": f"{ROOT}{at}/Monitor"}
    told = {
        "@odata.type": TYPES["Message"],
        "MessageId": "Update.1.2.Status",
        "Message": job.message,
    }
    return _of(
        "Task",
        at,
        job.what,
        TaskState=state,
        TaskStatus="Critical" if failed else "OK",
        Messages=[told] if job.message else [],
        **over,
        **({"Oem": {"Dell": _dell_job(job)}} if _is_dell(bmc) and state != "UserIntervention" else {}),
    )


def _task_state(bmc: Bmc, job: Job) -> str:
    if job.state == "UserIntervention" and not _is_dell(bmc):
        return "Completed"  # and its message says what it still wants
    return BACKWARDS.get(job.state, job.state)


def _dell_job(job: Job) -> Object:
    """As it stands in the queue and, without a link of its own, inside its task."""
    state = "Completed" if job.state == "UserIntervention" else job.state
    return {
        "@odata.type": "#DellJob.v1_5_0.DellJob",
        "Id": job.name,
        "Name": job.what,
        "JobState": state,
        "JobType": "FirmwareUpdate",
        "PercentComplete": job.percent,
        **({"Message": job.message} if job.message else {}),
    }


def resources(bmc: Bmc) -> dict[str, Object]:
    """Path -> resource, as they are now."""
    dell = _is_dell(bmc)
    system = f"/Systems/{'System.Embedded.1' if dell else '1'}"
    manager = f"/Managers/{'iDRAC.Embedded.1' if dell else 'bmc'}"
    bios, own = "Installed-159-" if dell else "BIOS", "Installed-25227-" if dell else "BMC"
    inventory = {
        f"/UpdateService/FirmwareInventory/{name}{bmc.versions[part] if dell else ''}": (name, part)
        for name, part in ((bios, "bios"), (own, "bmc"))
    }
    found = [
        _root(bmc),
        _collection("ComputerSystem", "/Systems", "Systems", [system]),
        _system(bmc, system),
        _collection("Manager", "/Managers", "Managers", [manager]),
        _manager(bmc, manager),
        _update_service(bmc),
        _collection("SoftwareInventory", "/UpdateService/FirmwareInventory", "Firmware", list(inventory)),
        *(
            _of("SoftwareInventory", at, part.upper(), Version=bmc.versions[part], Updateable=True)
            for at, (_, part) in inventory.items()
        ),
        _of("TaskService", "/TaskService", "Tasks", ServiceEnabled=True, Tasks=_link("/TaskService/Tasks")),
        _collection("Task", "/TaskService/Tasks", "Tasks", [f"/TaskService/Tasks/{n}" for n in bmc.jobs]),
        *(_task(bmc, job) for job in bmc.jobs.values()),
        _of(
            "SessionService",
            "/SessionService",
            "Sessions",
            ServiceEnabled=True,
            Sessions=_link("/SessionService/Sessions"),
        ),
        _collection(
            "Session",
            "/SessionService/Sessions",
            "Sessions",
            [f"/SessionService/Sessions/{n}" for n in bmc.sessions],
        ),
        *(_of("Session", f"/SessionService/Sessions/{name}", "Session") for name in bmc.sessions),
    ]
    if dell:
        queue = f"{manager}/Oem/Dell/Jobs"
        rows = [{**_link(f"{queue}/{job.name}"), **_dell_job(job)} for job in bmc.jobs.values()]
        found += rows
        found.append(
            {
                "@odata.id": f"{ROOT}{queue}",
                "@odata.type": "#DellJobCollection.DellJobCollection",
                "Name": "JobQueue",
                "Members": [{"@odata.id": row["@odata.id"]} for row in rows],
                "Members@odata.count": len(rows),
            }
        )
    return {str(one["@odata.id"]): one for one in found}


def allowed(bmc: Bmc, link: str) -> tuple[str, ...]:
    """The methods that a path takes, as the Allow header has them (DSP0266); none where nothing is there."""
    found = resources(bmc)
    actions = (action for one in found.values() for action in one.get("Actions", {}).values())
    posted = {str(action["target"]) for action in actions}
    pushed = found[f"{ROOT}/UpdateService"].get("MultipartHttpPushUri")
    if link in posted or link == pushed:
        return ("POST",)
    of = found.get(link)
    if of is None:
        return ("GET", "HEAD") if link in {str(one.get("TaskMonitor")) for one in found.values()} else ()
    kind = str(of["@odata.type"]).rpartition(".")[2]
    own = {
        "SessionCollection": ("POST",),
        "Session": ("DELETE",),
        "Task": ("DELETE",),
        "DellJob": ("DELETE",),
    }
    return ("GET", "HEAD", *own.get(kind, ()))


def _root(bmc: Bmc) -> Object:
    more = {"Vendor": "Dell", "Oem": {}} if _is_dell(bmc) else {}
    return _of(
        "ServiceRoot",
        "",
        "Root Service",
        RedfishVersion="1.18.0",
        UUID="92384634-2938-2342-8820-489239905423",
        ProtocolFeaturesSupported={
            "ExpandQuery": {"NoLinks": _is_dell(bmc), "Links": False, "ExpandAll": False, "Levels": False}
        },
        Systems=_link("/Systems"),
        Managers=_link("/Managers"),
        UpdateService=_link("/UpdateService"),
        Tasks=_link("/TaskService"),
        SessionService=_link("/SessionService"),
        Links={"Sessions": _link("/SessionService/Sessions")},
        **more,
    )


def metadata(link: str, _bmc: Bmc) -> web.Response:
    """The two documents by which a client finds the schemas."""
    headers = {"OData-Version": "4.0"}
    if link.endswith("odata"):
        rows = [{"name": "Service", "kind": "Singleton", "url": f"{ROOT}/"}]
        return web.json_response({"@odata.context": f"{ROOT}/$metadata", "value": rows}, headers=headers)
    references = "".join(
        f'<edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/{name}_v1.xml">'
        f'<edmx:Include Namespace="{name}"/>'
        + (f'<edmx:Include Namespace="{name}.{version}"/>' if version else "")
        + (f'<edmx:Include Namespace="{CONTAINER}"/>' if name == "ServiceRoot" else "")
        + "</edmx:Reference>"
        for name, version in SCHEMAS
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">'
        f"{references}<edmx:DataServices>"
        '<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">'
        f'<EntityContainer Name="Service" Extends="{CONTAINER}.ServiceContainer"/>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    )
    return web.Response(text=text, content_type="application/xml", headers=headers)

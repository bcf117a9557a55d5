"""What a BMC is asked to do by Redfish: take an image, reset, give up a job. Each is asked once.

Actions: DMTF DSP2046 UpdateService (MultipartHttpPushUri, SimpleUpdate), ComputerSystem.Reset, Manager.Reset; DSP0266
section on software updates by multipart, and on messages (`@Message.ExtendedInfo`).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from knowngood.adapters.cluster import bmc_image
from knowngood.adapters.cluster.bmc_update import Way
from knowngood.adapters.cluster.redfish import Answer, Bmc, bmcs_of, inside
from knowngood.adapters.movers.watch import UNREADABLE
from knowngood.adapters.nodes.batch import NodeFailed, NotTold
from knowngood.model.bmcs import BmcJob, FirmwareImage
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Firmware
from knowngood.model.text import printable
from knowngood.model.values import Object, Values

APPLY_TIME = "@Redfish.OperationApplyTime"
BOUNDARY = "knowngood-firmware"
UPLOAD = 900.0
"""Seconds that a BMC may take for one piece of an image, and to look at the whole: it writes to slow flash."""
RESETS = ("GracefulRestart", "ForceRestart", "PowerCycle")
"""In the order in which they are tried: the node is drained."""
BUSY = frozenset({409, 429, 503})
"""Answers of a BMC that is at something else: "Lifecycle Controller in use" (iDRAC-Redfish-Scripting issue 70)."""
APPLY_TIMES = {Firmware.SYSTEM: ("OnReset", "Immediate"), Firmware.MANAGER: ("Immediate", "OnReset")}
"""Which of the offered ones is asked for: what needs a boot of the host waits for ours."""


class BusyError(Exception):
    """The BMC is at something else and has taken nothing; the message has its words."""


@contextmanager
def proven(image: FirmwareImage, ca: str) -> Iterator[IO[bytes]]:
    """The image in a file of ours, once it is the one that the cluster file names. NotTold where it is not."""
    with tempfile.TemporaryFile() as file:
        try:
            wrong = bmc_image.fetch(image, ca, file)
        except Unreachable as error:
            raise NotTold(f"the image {UNREADABLE}: {error}") from error
        if wrong:
            raise NotTold(wrong)
        yield file


def stage(bmc: Bmc, way: Way, firmware: Firmware, image: FirmwareImage, file: IO[bytes]) -> str:
    """Give it an image that was proven, in `file`; returns the name of the job that it tells, "" where it tells none.

    NodeFailed where it refuses the image, NotTold where it does our user, BusyError where it can't take one now,
    Unreachable where it is not known whether it took it.
    """
    when = next((time for time in APPLY_TIMES[firmware] if time in way.times), "")
    asked: Object = {APPLY_TIME: when} if when else {}
    if way.pushed:
        answer = _pushed(bmc, way.link, {"Targets": [], **asked}, image.url.rpartition("/")[2], file)
    else:
        answer = _posted(bmc, way.link, {"ImageURI": image.url, "TransferProtocol": "HTTPS", **asked})
    _refuse(answer, "takes no image")
    told = answer.headers.get("Location", "").rstrip("/").removesuffix("/Monitor").rpartition("/")[2]
    return str(answer.body.get("Id") or told)


def reset(bmc: Bmc, firmware: Firmware, *, force: bool = False) -> None:
    """Have the machine, or the BMC itself, start anew. NodeFailed, BusyError, Unreachable as `stage`."""
    name, resource = _to_reset(bmc, firmware)
    action = inside(resource, "Actions", f"#{name}.Reset")
    if not action.get("target"):
        raise NodeFailed(f"its BMC offers no {name}.Reset")
    allowed = _allowed(bmc, action)
    kinds = [kind for kind in RESETS[1 if force else 0 :] if kind in allowed] or ["ForceRestart"]
    answer = _posted(bmc, str(action["target"]), {"ResetType": kinds[0]})
    _refuse(answer, f"takes no reset by {kinds[0]}")


def cancel(bmc: Bmc, job: BmcJob) -> None:
    """Have it give up a job that waits; one that is gone is fine. NodeFailed where it does not."""
    answer = bmc.ask("DELETE", job.link)
    if answer.status != 404:
        _refuse(answer, f"does not give up job {job.name}, delete it there")


def _to_reset(bmc: Bmc, firmware: Firmware) -> tuple[str, Object]:
    """The name of its schema, and the resource that has the action."""
    root = bmc.root()
    if firmware is Firmware.SYSTEM:
        found = [system for system in bmc.members(root, "Systems") if system.get("BiosVersion")]
        name = "ComputerSystem"
    else:
        found = [dict(m) for m in bmcs_of(list(bmc.members(root, "Managers")))]
        name = "Manager"
    if len(found) != 1:
        raise Unreachable(f"which {name} is meant can't be told: it has {len(found)}", where=bmc.url)
    return name, found[0]


def _allowed(bmc: Bmc, action: Values) -> Sequence[str]:
    """The kinds of reset that it says it takes, where the action stands or in what that links to."""
    if told := action.get("ResetType@Redfish.AllowableValues"):
        return [str(kind) for kind in told]
    if link := action.get("@Redfish.ActionInfo"):
        rows = bmc.get(str(link)).get("Parameters") or ()
        return [
            str(k) for row in rows if row.get("Name") == "ResetType" for k in row.get("AllowableValues") or ()
        ]
    return ()


def _posted(bmc: Bmc, link: str, body: Values) -> Answer:
    headers = {"Content-Type": "application/json"}
    return bmc.ask("POST", link, json.dumps(body).encode(), headers, timeout=UPLOAD)


def _pushed(bmc: Bmc, link: str, parameters: Values, name: str, file: IO[bytes]) -> Answer:
    """Two parts, the image read from its file as it is sent."""
    head = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="UpdateParameters"\r\n'
        "Content-Type: application/json\r\n\r\n"
        f"{json.dumps(dict(parameters))}\r\n"
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="UpdateFile"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)

    def pieces() -> Iterator[bytes]:
        yield head
        while piece := file.read(1 << 20):
            yield piece
        yield tail

    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(head) + size + len(tail)),
    }
    return bmc.ask("POST", link, pieces(), headers, timeout=UPLOAD)


def _refuse(answer: Answer, what: str) -> None:
    """What an answer that is no yes amounts to."""
    if answer.status < 300:
        return
    if answer.status in {401, 403}:
        raise NotTold(f"its BMC does not let our user do that ({answer.status})")
    words = f"its BMC {what}: {said(answer.body) or f'it answers {answer.status}'}"
    if answer.status in BUSY:
        raise BusyError(words)
    if answer.status >= 500:
        raise Unreachable(words)  # whether it has taken it is not known
    raise NodeFailed(words)


def said(body: Values) -> str:
    """The messages of an answer, in one line."""
    error = body.get("error")
    rows = error.get("@Message.ExtendedInfo") if isinstance(error, dict) else None
    told = [
        str(row.get("Message") or row.get("MessageId") or "") for row in rows or () if isinstance(row, dict)
    ]
    text = " ".join(filter(None, told)) or str(
        (error or {}).get("message") or "" if isinstance(error, dict) else ""
    )
    return printable(text, 300)

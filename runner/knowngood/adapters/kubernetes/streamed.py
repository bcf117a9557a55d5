"""Answers too large for the memory, line by line: they wait on disk, so that a broken one can be asked for again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import IO

from urllib3.exceptions import HTTPError

from knowngood.adapters.kubernetes.client import Busy, Kube, refuse
from knowngood.adapters.kubernetes.no_answer import said
from knowngood.model.errors import Unreachable

IN_MEMORY = 1 << 20
CHUNK = 1 << 16


def lines(
    kube: Kube, where: str, query: Mapping[str, str], *, timeout: float, busy: float | None = None
) -> Iterator[str]:
    """The lines of an answer that is no JSON, without their line feeds. `busy`: seconds a 503 is retried."""
    with kube.patient(lambda: _spooled(kube, where, query, timeout), f"GET {where}", None, busy) as file:
        for raw in file:
            yield raw.decode("utf-8", "replace").removesuffix("\n")


def whole(
    kube: Kube, where: str, query: Mapping[str, str], *, timeout: float, busy: float | None = None
) -> IO[bytes]:
    """An answer as a file, proven to be all of it by its length. Unreachable where it came without one."""
    return kube.patient(lambda: _spooled(kube, where, query, timeout, sized=True), f"GET {where}", None, busy)


def _spooled(
    kube: Kube, where: str, query: Mapping[str, str], timeout: float, *, sized: bool = False
) -> IO[bytes]:
    answer = kube.request("GET", where, query, {}, timeout=timeout, preload_content=False)
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (the reader closes it)
    try:
        for chunk in answer.stream(CHUNK):
            kube.counted(0, len(chunk))
            file.write(chunk)
    except HTTPError as error:
        file.close()
        raise Busy(said(error)) from error
    finally:
        answer.release_conn()
    file.seek(0)
    if answer.status >= 400:
        with file:
            later = answer.headers.get("Retry-After") or ""
            refuse(answer.status, file.read(CHUNK), f"GET {where}", later, kube.access.where)
    if sized and "Content-Length" not in answer.headers:
        file.close()
        raise Unreachable(f"GET {where}: the answer has no length, so it can't be told whether it is all")
    return file

"""Where a node's kernel lines come from: OpenShift's journal endpoint, else the kubelet's files.

Of each node the first that answers is asked from then on. All answer a journal's query (output, boot, grep, tail, since
and until as `-30s`) with journald's JSON lines.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import chain

from knowngood.adapters.cluster import kernel_files
from knowngood.adapters.cluster.kernel_files import NoUptimeError, Uptime
from knowngood.adapters.kubernetes import streamed
from knowngood.adapters.kubernetes.client import ApiError, Kube, path

NO_JOURNAL = frozenset({404, 405})
_by_files: MutableMapping[Kube, set[str]] = weakref.WeakKeyDictionary()
"""The nodes whose kubelet has no journal endpoint. By node: what one lacks says nothing of its neighbours."""


def ask(
    kube: Kube,
    node: str,
    query: Mapping[str, str],
    *,
    busy: float | None = None,
    timeout: float | None = None,
    up: Uptime = None,
) -> Iterator[str]:
    """The lines of an answer. `busy`: seconds to ask again while the API server can't reach the kubelet.

    `timeout`: seconds for the answer, the client's own by default. `up`: the node's uptime, which a file's answer of
    the present boot needs. ApiError, Unreachable: there is no answer.
    """
    wait = kube.timeout if timeout is None else timeout
    if proves_its_end(kube, node):
        yield from kernel_files.entries(kube, node, query, up=up, timeout=wait, busy=busy)
        return
    if (lines := _journal(kube, node, query, busy, wait)) is not None:
        yield from lines
        return
    found = kernel_files.entries(kube, node, query, up=up, timeout=wait, busy=busy)
    try:
        first = next(found, None)
    except NoUptimeError:  # a file is served: whoever asks again brings the uptime
        _by_files.setdefault(kube, set()).add(node)
        raise
    _by_files.setdefault(kube, set()).add(node)
    yield from () if first is None else chain((first,), found)


def proves_its_end(kube: Kube, node: str) -> bool:
    """Whether an answer that was cut off is told by the transport: files come with their length."""
    return node in _by_files.get(kube, ())


def _journal(
    kube: Kube, node: str, query: Mapping[str, str], busy: float | None, timeout: float
) -> Iterator[str] | None:
    """The journal endpoint's answer; None where there is no such endpoint, only a folder of that name, or nothing."""
    where = path("v1", "nodes", node, sub="proxy/logs/journal")
    lines = streamed.lines(kube, where, {"output": "json", "boot": "0", **query}, busy=busy, timeout=timeout)
    try:
        first = next(lines, None)
    except ApiError as error:
        if error.code in NO_JOURNAL and f'nodes "{node}"' not in str(error):
            return None
        raise
    if first is not None and first.lstrip().startswith("<"):  # the folder's listing, or the way to it
        return None
    return iter(()) if first is None else chain((first,), lines)

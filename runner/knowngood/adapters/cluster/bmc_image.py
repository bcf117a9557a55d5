"""A firmware image: whether it is where the cluster file says, and is the one that it says, by its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import urllib3

from knowngood.model.bmcs import FirmwareImage
from knowngood.model.errors import Unreachable

TIMEOUT = 60.0
"""Seconds without a byte."""
MOST_BYTES = 2_000_000_000
CHUNK = 1 << 20


def fetch(image: FirmwareImage, ca: str, into: IO[bytes] | None = None) -> str:
    """Read it whole, into a file where one is given; returns why it is not what it must be, "" where it is.

    Unreachable where that could not be told.
    """
    pool = urllib3.PoolManager(ca_certs=ca or None)
    digest, size = hashlib.sha256(), 0
    try:
        with _opened(pool, image.url) as answer:
            if answer.status in {404, 410}:
                return f"{image.url} is not there ({answer.status})"
            if answer.status != 200:
                raise Unreachable(f"answers {answer.status}", where=image.url)
            for chunk in answer.stream(CHUNK):
                size += len(chunk)
                if size > MOST_BYTES:
                    return f"{image.url} has more than {MOST_BYTES} bytes"
                digest.update(chunk)
                if into is not None:
                    into.write(chunk)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(type(reason).__name__, where=image.url) from error
    if digest.hexdigest() != image.sha256:
        return f"{image.url} is another one: its SHA-256 is {digest.hexdigest()}, not {image.sha256}"
    return ""


@contextmanager
def _opened(pool: urllib3.PoolManager, url: str) -> Iterator[urllib3.BaseHTTPResponse]:
    """One answer, unread; its connection is given back at the end."""
    answer = pool.request("GET", url, timeout=TIMEOUT, retries=2, redirect=False, preload_content=False)
    try:
        yield answer
    finally:
        answer.release_conn()

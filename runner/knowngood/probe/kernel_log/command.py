"""`python -m knowngood.probe kernel-log --file F`: a log's GPU, switch, NIC and host errors as JSON lines.

Exit status 0: read to the end. 3: it could not be read, or not all of it; then the last line is {"error": why}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from knowngood.probe.kernel_log.files import CannotReadError
from knowngood.probe.kernel_log.reading import Count, read
from knowngood.probe.kernel_log.records import records

READ, COULD_NOT = 0, 3


def run(path: Path, write: Callable[[str], object], *, grep: bool = True) -> int:
    """Write the events of a log file, a line each; the exit status."""
    count = Count()
    try:
        for record in records(read(path, count, grep=grep)):
            write(record + "\n")
        trouble = count.first and f"{count.broken} part(s) can't be read; the first: {count.first}"
    except CannotReadError as error:
        trouble = str(error)
    except BrokenPipeError:  # nobody reads on
        return COULD_NOT
    except Exception as error:  # noqa: BLE001 (whatever a hostile file broke: it was not read to its end)
        trouble = f"{path}: the parser broke: {type(error).__name__}: {error}"[:500]
    if trouble:
        write(json.dumps({"error": trouble}) + "\n")
    return COULD_NOT if trouble else READ

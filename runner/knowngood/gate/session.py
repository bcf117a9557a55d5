"""Starts pytest for a judgement: `python -I -B session.py <pytest's arguments>`.

A file and not `-m pytest`: with `-I` Python looks neither at PYTHONPATH nor at the working directory, and this way
the judge uses the very knowngood that runs it, however it is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    import pytest

    sys.exit(pytest.main(sys.argv[1:]))

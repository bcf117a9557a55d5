"""What holds for all tests: none fails for being slow on a busy machine, or for the terminal it is started from."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# xdist says 80 to its workers, and what a command prints without a terminal has no width.
os.environ.pop("COLUMNS", None)

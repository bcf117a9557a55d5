"""Real cases with their origin, told in the README beside them: node roots, kernel lines, version questions.

They are not part of the project: they lie in `shared/cases` beside the checkout, or where KNOWNGOOD_CASES says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CASES = Path(os.environ.get("KNOWNGOOD_CASES") or Path(__file__).parents[2] / "shared" / "cases")
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this checkout")

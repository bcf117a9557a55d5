"""What a gate author imports.

A gate is a pytest file under `gates/`; its name is the file's stem. A test takes `node` (it then runs once a node)
and says its verdict: it returns (pass), calls `judge.fail(reason)` or `judge.inconclusive(reason)`. A plain failed
assert is a fail; any other exception, a skip and an xfail are inconclusive. `measure(...)` keeps the figures behind
the verdict: they are the baseline of the next judgement.
"""

from __future__ import annotations

from knowngood.gate.verdicts import judge, measure, ran_on, some

__all__ = ["judge", "measure", "ran_on", "some"]

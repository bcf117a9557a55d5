"""A row of the fault table, and the machines that rows begin with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from tests.unit.gates.faults.recorded import Recorded, at_rest

from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.model.verdict import Verdict

ROWS = Path(__file__).parent / "rows"
Spoil = Callable[[Recorded], object]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on a node, the words by which its gate names it, and the verdict.

    `also`: gates that see the same; without all of these it goes uncaught. `base`: the machine that it strikes.
    """

    spoil: Spoil
    words: str
    verdict: Verdict = Verdict.FAIL
    also: Mapping[str, str] = field(default_factory=dict)
    base: str = "whole"


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing is there for the gate to look at, and the words by which it says so: never a pass."""

    spoil: Spoil
    words: str
    verdict: Verdict = Verdict.INCONCLUSIVE
    base: str = "whole"


def whole(folder: Path) -> Recorded:
    """Each GPU is offered once, in one piece."""
    return at_rest(folder, given)


def mig(folder: Path) -> Recorded:
    """All GPUs are in seven instances."""

    def parted(node: Recorded) -> None:
        given(node)
        layout = [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.18gb": 7}}]
        node.config = GpuConfig(mig={"all-1g.18gb": layout}, policy=True)

    return at_rest(folder, parted, migConfig="all-1g.18gb")


def sliced(folder: Path) -> Recorded:
    """Each GPU is offered four times."""

    def shared(node: Recorded) -> None:
        given(node)
        four = {"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}}}
        node.config = GpuConfig(plugin={"four": four}, default="four", named=True, policy=True)

    return at_rest(folder, shared, replicas=4)


def given(node: Recorded) -> None:
    """What only some gates ask for, as their rows give it: fixtures, and payloads' results."""
    for gate in told():
        rows = rows_of(gate)
        node.more |= getattr(rows, "GIVEN", {})
        node.results |= deepcopy(getattr(rows, "RESULTS", {}))


BASES: Mapping[str, Callable[[Path], Recorded]] = {"whole": whole, "mig": mig, "sliced": sliced}


class Stock:
    """Each base is made once; whoever asks gets one of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Recorded] = {}

    def of(self, base: str, folder: Path) -> Recorded:
        """A machine of that kind at rest, in `folder`."""
        if base not in self._made:
            self._made[base] = BASES[base](self._folder / base)
        return self._made[base].copied(folder)


@cache
def rows_of(gate: str) -> ModuleType:
    """A gate's rows: PASS (name -> change after which it still passes), FAULTS and EMPTY.

    GIVEN (fixture -> what makes it of the node) and RESULTS (payload -> a healthy result) are this gate's alone.
    """
    spec = importlib.util.spec_from_file_location(f"rows_{gate}", ROWS / f"{gate}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(ROWS / f"{gate}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told() -> list[str]:
    """The gates that have rows."""
    return sorted(path.stem for path in ROWS.glob("*.py"))

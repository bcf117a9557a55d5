"""`make mutants`: gates and probes are made wrong at places drawn by lot, and their unit tests must say so.

One in ten may live. A mutant that changes nothing that matters is named in equivalent.py with the reason. The table of
those that lived is printed; they are kept in .cache/mutants.json as they are found, so that a draw that was cut off
tells something, too. Tests that do not end in time kill nothing: they are told apart, and count as if the mutant lived.
`MUTANTS=--again` plays only these once more, `MUTANTS="--seed 11"` another draw, `MUTANTS="--file speeds --file pair"`
one of these files alone.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.mutants.cover import ON_THE_TWIN, chosen, every, tests_of
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.mutate import Mutant
from tests.mutants.tree import HEALTHY, ROOT, Copy, Ran

KEPT = ROOT / ".cache" / "mutants.json"
COUNT, SEED, SHARE = 100, 10, 0.1


def played(mutants: list[Mutant], workers: int, before: Collection[str] = ()) -> dict[Mutant, Ran]:
    """Each mutant's end; a few copies of the tree take them one after the other.

    `before`: names that lived before, which are kept until they are played.
    Nothing is told of a mutant by tests that fail without it: one copy plays them all first.
    """
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    tests = {mutant.file: tests_of(mutant.file) for mutant in mutants}
    all_tests = sorted({test for some in tests.values() for test in some} - {ON_THE_TWIN})
    found: dict[Mutant, Ran] = {}
    unwell: list[str] = []

    def work(copy: Copy, first: bool) -> None:
        if first and not (ran := copy.ran(all_tests, HEALTHY)).ok:
            unwell.append(ran.words)
        while not unwell:
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            source = (copy.folder / mutant.file).read_text(encoding="utf-8")  # ours may have changed since
            found[mutant] = copy.with_change(mutant.file, mutant.applied(source), tests[mutant.file])
            told(mutant, found[mutant], len(found), len(mutants))
            keep(found, before)

    with tempfile.TemporaryDirectory() as folder:
        copies = [Copy(Path(folder) / str(number)) for number in range(workers)]
        hands = [threading.Thread(target=work, args=(copy, copy is copies[0])) for copy in copies]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
    if unwell:
        sys.exit(f"without any mutant the tests do not pass: {unwell[0]}")
    return found


def told(mutant: Mutant, ran: Ran, number: int, of: int) -> None:
    """One line on stderr as it ends."""
    how = "LIVES" if ran.ok else "dies" if ran.killed else "DOES NOT END"
    print(f"{number}/{of} {how} {mutant.file}:{mutant.line} {mutant.kind} {ran.words[:90]}", file=sys.stderr)


def keep(found: Mapping[Mutant, Ran], before: Collection[str] = ()) -> None:
    """What was played and what was not killed by now, for `--again`; what lived `before` until it is played."""
    KEPT.parent.mkdir(exist_ok=True)
    found = dict(found)  # the other hands go on
    names = {m.name for m in found}
    lived = [m.name for m, ran in found.items() if not ran.killed]
    lived += sorted(name for name in before if name not in names)
    KEPT.write_text(json.dumps({"played": len(found), "lived": lived}, indent=1), encoding="utf-8")


def kept(of: Collection[Mutant]) -> list[Mutant]:
    """Those that lived the last time. A name whose line is another by now is nobody's, and is forgotten."""
    lived = set(json.loads(KEPT.read_text(encoding="utf-8"))["lived"])
    return [m for m in of if m.name in lived]


def short(found: Mapping[Mutant, Ran], drawn: int) -> str:
    """Why a draw is not good enough; "" where it is. `drawn`: that were to be played."""
    if not drawn:
        return "nothing was drawn, so nothing is shown"
    if len(found) < drawn:
        return f"{len(found)} of {drawn} were played"
    left = sum(not ran.killed for ran in found.values())
    return f"{left} of {drawn} were not killed" if left > SHARE * drawn else ""


def main() -> None:
    """Draw, play, print; exit 1 where more than one in ten were not killed, or not all were played."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="those that lived the last time")
    parser.add_argument(
        "--file", action="append", default=[], help="draw of files with this in their name only"
    )
    asked = parser.parse_args()
    lived: set[str] = set()
    if asked.again:  # of all: another line in a source makes a draw another one
        drawn = kept(chosen(sys.maxsize, asked.seed, asked.file))
        lived = {m.name for m in kept(every())}
    else:
        drawn = chosen(asked.count, asked.seed, asked.file)
    same = [m for m in drawn if m.name in EQUIVALENT]
    begin = time.monotonic()
    random.Random(asked.seed).shuffle(drawn)  # noqa: S311 (what was played by then is a lot of its own)
    wanted = [m for m in drawn if m not in same]
    found = played(wanted, asked.workers, lived - EQUIVALENT.keys())
    survivors = sorted((m for m, ran in found.items() if not ran.killed), key=lambda m: (m.file, m.line))
    kinds = Counter(m.kind for m in found)
    print("| where | kind | line | change | end |\n|---|---|---|---|---|")
    for m in survivors:
        end = "lives" if found[m].ended else "does not end"
        change = f"`{m.old[:40]}` to `{m.new}`"
        print(f"| {m.file}:{m.line} | {m.kind} | `{m.text.strip()[:90]}` | {change} | {end} |")
    late = sum(not ran.ended for ran in found.values())
    minutes = (time.monotonic() - begin) / 60
    what = ", ".join(f"{n} of kind {kind}" for kind, n in sorted(kinds.items()))
    print(
        f"\n{len(found)} mutants ({what}): {len(survivors) - late} live, of {late} the tests did not end;"
        f" {len(same)} change nothing; {minutes:.0f} min"
    )
    sys.exit(short(found, len(wanted)) or 0)


if __name__ == "__main__":
    main()

"""A small network in plain Python: what the smoke payloads compute where no GPU library is present.

It is deterministic, so its results are known beforehand. It proves that a pod of ours runs on the node and
computes rightly; it proves nothing about a GPU, so a verdict on it never counts as evidence.
"""

from __future__ import annotations

import math

Row = list[float]
Matrix = list[Row]


class Numbers:
    """The same numbers everywhere, on every Python (a linear congruential generator, Knuth's MMIX constants)."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def next(self) -> float:
        """The next number in [-1, 1)."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 11) / 2**52 - 1.0

    def matrix(self, rows: int, columns: int, scale: float) -> Matrix:
        """Rows of numbers times `scale`."""
        return [[self.next() * scale for _ in range(columns)] for _ in range(rows)]


class Network:
    """Two layers: tanh, then softmax over the classes. `inputs` features, `hidden` units, `classes`."""

    def __init__(self, inputs: int, hidden: int, classes: int, seed: int) -> None:
        numbers = Numbers(seed)
        self.first = numbers.matrix(hidden, inputs + 1, 1.0)  # the last column is the bias
        self.second = numbers.matrix(classes, hidden + 1, 1.0)

    def forward(self, row: Row) -> tuple[Row, Row]:
        """The hidden units and the classes' probabilities for one sample."""
        hidden = [math.tanh(_dot(w, row)) for w in self.first]
        scores = [_dot(w, hidden) for w in self.second]
        top = max(scores)
        powers = [math.exp(s - top) for s in scores]
        total = sum(powers)
        return hidden, [p / total for p in powers]

    def step(self, rows: Matrix, labels: list[int], rate: float) -> float:
        """One step of gradient descent over all samples; returns the mean loss before it."""
        loss = 0.0
        up_first = [[0.0] * len(w) for w in self.first]
        up_second = [[0.0] * len(w) for w in self.second]
        for row, label in zip(rows, labels):  # noqa: B905 (strict= is from Python 3.10)
            hidden, chances = self.forward(row)
            loss -= math.log(chances[label])
            errors = [c - (k == label) for k, c in enumerate(chances)]
            _add(up_second, errors, hidden)
            back = [
                (1 - h * h) * sum(e * self.second[k][j] for k, e in enumerate(errors))
                for j, h in enumerate(hidden)
            ]
            _add(up_first, back, row)
        scale = rate / len(rows)
        for weights, update in ((self.first, up_first), (self.second, up_second)):
            for target, delta in zip(weights, update):  # noqa: B905
                for i, value in enumerate(delta):
                    target[i] -= scale * value
        return loss / len(rows)


def samples(count: int, inputs: int, classes: int, seed: int) -> tuple[Matrix, list[int]]:
    """Samples whose class is where the weighted sum of their features lies: a rule that can be learned."""
    numbers = Numbers(seed)
    rows = numbers.matrix(count, inputs, 1.0)
    sums = [sum(value * (i + 1) for i, value in enumerate(row)) for row in rows]
    ordered = sorted(sums)
    bounds = [ordered[count * k // classes] for k in range(1, classes)]
    return rows, [sum(s >= b for b in bounds) for s in sums]


def _dot(weights: Row, values: Row) -> float:
    return sum(map(float.__mul__, weights, values)) + weights[-1]


def _add(target: Matrix, errors: Row, values: Row) -> None:
    for row, error in zip(target, errors):  # noqa: B905
        for i, value in enumerate(values):
            row[i] += error * value
        row[-1] += error

"""A small language model in torch, its task, and the sums by which tensors are compared. torch is an argument.

The model is written out in plain products, because what the library's own layers compute differs by device and version;
`fused` takes the library's attention, which is what users' training runs on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from knowngood.probe.smoke.by_value import SUMS
from knowngood.probe.values import Object

Torch = Any
Tensor = Any


@dataclass(frozen=True)
class Size:
    """Shape of a model and of its batches: `batch` sequences of `length` tokens."""

    vocabulary: int = 64
    width: int = 64
    layers: int = 2
    heads: int = 4
    length: int = 32
    batch: int = 8
    fused: bool = False

    def plain(self) -> Object:
        """As JSON values."""
        return asdict(self)


def network(torch: Torch, size: Size, seed: int, device: Any = "cpu") -> Any:
    """A decoder in fp32 whose weights the seed gives, the same ones on all devices of a kind: tokens (b, t) -> scores
    (b, t, vocabulary).
    """
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
            self.qkv = nn.Linear(size.width, 3 * size.width)
            self.out = nn.Linear(size.width, size.width)
            self.up, self.down = nn.Linear(size.width, 4 * size.width), nn.Linear(4 * size.width, size.width)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.out(_attention(torch, self.qkv(self.first(x)), size))
            return x + self.down(torch.nn.functional.gelu(self.up(self.second(x))))

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(size.vocabulary, size.width)
            self.places = nn.Embedding(size.length, size.width)
            self.blocks = nn.ModuleList(Block() for _ in range(size.layers))
            self.last = nn.LayerNorm(size.width)
            self.head = nn.Linear(size.width, size.vocabulary)

        def forward(self, tokens: Tensor) -> Tensor:
            places = torch.arange(tokens.shape[1], device=tokens.device)
            x = self.tokens(tokens) + self.places(places)
            for block in self.blocks:
                x = block(x)
            return self.head(self.last(x))

    torch.manual_seed(seed)
    with torch.device(device):
        return Network()


def _attention(torch: Torch, qkv: Tensor, size: Size) -> Tensor:
    """Causal attention; qkv (b, t, 3 * width) -> (b, t, width)."""
    b, t, _ = qkv.shape
    q, k, v = (x.view(b, t, size.heads, -1).transpose(1, 2) for x in qkv.chunk(3, dim=-1))
    if size.fused:
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        later = torch.ones(t, t, dtype=torch.bool, device=qkv.device).triu(1)
        mixed = scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ v
    return mixed.transpose(1, 2).reshape(b, t, -1)


def sequences(torch: Torch, size: Size, seed: int) -> Tensor:
    """Sequences that count upwards by a step of their own, (batch, length + 1), on the CPU: the next token follows from
    the last two, so the task can be learned.
    """
    dice = torch.Generator().manual_seed(seed)
    starts = torch.randint(size.vocabulary, (size.batch, 1), generator=dice)
    steps = torch.randint(1, 4, (size.batch, 1), generator=dice)
    return (starts + steps * torch.arange(size.length + 1).unsqueeze(0)) % size.vocabulary


def loss_of(torch: Torch, model: Any, batch: Tensor) -> Tensor:
    """The mean loss of the next tokens, in fp32 or wider."""
    scores = model(batch[:, :-1])
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return torch.nn.functional.cross_entropy(wide.flatten(0, 1), batch[:, 1:].flatten())


class Signs:
    """Fixed vectors of random signs for the tensors of a model: the same on every rank, and on every device."""

    def __init__(self, torch: Torch, shapes: Iterable[Any], device: Any, most: int = 1 << 20) -> None:
        self._torch, self._most = torch, most
        dice = torch.Generator().manual_seed(97)
        self._signs = []
        for shape in shapes:
            count = min(math.prod(shape), most)
            bits = torch.randint(2, (SUMS, count), generator=dice, dtype=torch.int8)
            self._signs.append((2 * bits - 1).to(device))

    def sums(self, tensors: Sequence[Tensor], first: int = 0) -> list[float]:
        """The sums of tensors; `first` is the number of the first one. Of a longer tensor than `most`, evenly spread
        elements are taken.
        """
        total = self._torch.zeros(SUMS, dtype=self._torch.float64, device=self._signs[0].device)
        for signs, tensor in zip(self._signs[first:], tensors):  # noqa: B905 (strict= is from Python 3.10)
            flat = tensor.detach().reshape(-1)
            flat = flat[:: max(1, flat.numel() // self._most)][: signs.shape[1]]
            total += signs.double() @ flat.double()
        return [float(x) for x in total.tolist()]

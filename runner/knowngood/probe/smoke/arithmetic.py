"""Products with known results in each number format, and a pattern through the memory: one device by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Torch = Any
Tensor = Any
TIMES = 3
ROWS = 64
"""Rows whose every element is compared with the CPU's in fp64."""
LARGEST = 4
"""Whole numbers up to this are exact in every format here, e4m3 included, and so are their products' sums up to 2^11,
past which fp8 products may round inside the tensor cores; `INNER` keeps them far below that."""
INNER = 1024
ROUNDED = frozenset({"bf16", "fp8"})
"""Formats whose result is a bf16: it must be the one nearest to the exact sum."""
TOLERANCE = {"fp32": 1e-5, "tf32": 1e-3, "bf16": 2.5e-3, "fp8": 4e-3}
"""Largest relative error (root mean square) of a product of normal numbers that the format holds exactly. Measured on
CPUs: fp32 3e-7 to 4e-7; bf16 1.7e-3, of its result's rounding (2^-9 = 2.0e-3 at most; fp8's result is rounded so, too).
tf32 and fp8 for the sums in the tensor cores: ours, not measured on hardware yet. An error of 5e-3 shows in each."""


@dataclass(frozen=True)
class Product:
    """What one format's products gave.

    `error`: relative to fp64 on the CPU; `wrong`: rows of the product of whole numbers in which an element is not
    exact; `steady`: the same bits each time, which cuBLAS promises on one device.
    """

    form: str
    error: float
    wrong: int
    steady: bool


def forms(torch: Torch, device: Any) -> list[str]:
    """The formats that the device multiplies in."""
    if device.type != "cuda":
        return ["fp32", "bf16"]
    newest = torch.cuda.get_device_capability(device)
    return ["fp32", *(["tf32", "bf16"] if newest >= (8, 0) else []), *(["fp8"] if newest >= (8, 9) else [])]


def multiply(torch: Torch, form: str, a: Tensor, b: Tensor) -> Tensor:
    """a (m, k) times b (k, n), fp32 tensors whose values the format holds, in that format."""
    if form == "fp8":
        eight = torch.float8_e4m3fn
        one = torch.ones((), device=a.device)
        right = b.to(eight).t().contiguous().t()  # the tensor cores want it column by column
        done = torch._scaled_mm(
            a.to(eight), right, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=False
        )
        return done.float()
    if form == "bf16":
        return (a.bfloat16() @ b.bfloat16()).float()
    torch.backends.cuda.matmul.allow_tf32 = form == "tf32"
    return a @ b


def products(torch: Torch, device: Any, side: int) -> Iterator[Product]:
    """Each format's products of (side, INNER) by (INNER, side)."""
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = (
        False  # partial sums in bf16 are not exact
    )
    dice = torch.Generator().manual_seed(11)
    normal = [torch.randn(shape, generator=dice) for shape in ((side, INNER), (INNER, side))]
    whole = [
        torch.randint(-LARGEST, LARGEST + 1, shape, generator=dice).float()
        for shape in ((side, INNER), (INNER, side))
    ]
    exact = whole[0] @ whole[1]  # by the CPU in fp32, which holds each of these sums
    for form in forms(torch, device):
        a, b = (_held(torch, form, x) for x in normal)
        here = a.to(device), b.to(device)
        results = [multiply(torch, form, *here) for _ in range(TIMES)]
        steady = all(bool(torch.equal(results[0], other)) for other in results[1:])
        rows = torch.arange(0, side, max(1, side // ROWS))
        wanted = a[rows].double() @ b.double()
        error = (results[0].cpu()[rows].double() - wanted).norm() / wanted.norm()
        got = multiply(torch, form, *(x.to(device) for x in whole)).cpu()
        nearest = exact.bfloat16().float() if form in ROUNDED else exact
        yield Product(form, float(error), int((got != nearest).any(dim=1).sum()), steady)
    torch.backends.cuda.matmul.allow_tf32 = False  # what follows is compared with fp64


def _held(torch: Torch, form: str, x: Tensor) -> Tensor:
    """The values rounded to what the format holds (tf32 holds what bf16 does), as fp32."""
    narrow = {"fp32": torch.float32, "fp8": torch.float8_e4m3fn}.get(form, torch.bfloat16)
    return x.to(narrow).float()


def memory(torch: Torch, device: Any, count: int, chunk: int, tick: Callable[[], None]) -> tuple[int, int]:
    """Write a pattern of addresses into `count` bytes, all held at once, and read it back; then its complement.

    Returns the bytes that were tested and the index of the first wrong word of 4 bytes, -1 for none.
    """
    held = []
    for start in range(0, count, chunk):
        held.append(_pattern(torch, device, start // 4, min(chunk, count - start) // 4))
        tick()
    for flip in (0, -1):  # a word exclusive-or -1 is its complement
        for number, words in enumerate(held):
            start = number * chunk // 4
            wrong = words != _pattern(torch, device, start, words.numel()).bitwise_xor_(flip)
            if bool(wrong.any()):
                return count, start + int(wrong.nonzero()[0])
            words.bitwise_not_()
            tick()
    return count, -1


def _pattern(torch: Torch, device: Any, start: int, words: int) -> Tensor:
    """Each word's own address, mixed so that every bit of a word changes between neighbours (Knuth's multiplier)."""
    index = torch.arange(start, start + words, device=device, dtype=torch.int64)
    return ((index * 2654435761) & 0x7FFFFFFF).to(torch.int32)

"""Quantities: `8`, `500m`, `1Gi`, as numbers and back."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": "1e-9",
    "u": "1e-6",
    "m": "1e-3",
    "k": "1e3",
    "M": "1e6",
    "G": "1e9",
    "T": "1e12",
    "P": "1e15",
}


def parse(text: object) -> Decimal:
    """Read a quantity; what is none counts as 0, since its schema has refused it already."""
    shown = str(text)
    try:
        for suffix, factor in _BINARY.items():
            if shown.endswith(suffix):
                return Decimal(shown.removesuffix(suffix)) * factor
        if shown[-1:] in _DECIMAL:
            return Decimal(shown[:-1]) * Decimal(_DECIMAL[shown[-1]])
        return Decimal(shown)
    except InvalidOperation:
        return Decimal(0)


def show(amount: Decimal, like: object = "") -> str:
    """Write an amount, in powers of two where `like` is written so."""
    if str(like)[-1:] == "i" and amount == amount.to_integral_value():
        for suffix, factor in reversed(_BINARY.items()):
            if amount and amount % factor == 0:
                return f"{int(amount) // factor}{suffix}"
    if amount == amount.to_integral_value():
        return str(int(amount))
    return f"{int(amount * 1000)}m"

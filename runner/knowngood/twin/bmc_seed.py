"""The part of a seed that says which BMCs the machines have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BmcsSeed:
    """How they speak (dell, dmtf), what they and their machines run, where they listen (0: anywhere), and the images
    that they can be given: by the file's name its text, see bmc.py.
    """

    dialect: str
    version: str
    images: Mapping[str, str]
    bios: str = "2.6.3"
    port: int = 0

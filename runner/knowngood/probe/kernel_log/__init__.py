"""Kernel lines of any source: what they say of GPUs, switches, NICs and the host. One parser for probe and gates."""

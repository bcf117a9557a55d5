"""Programs that stand in for tools whose hardware no twin has: they print what those print, in the same words.

A pod's process finds them in its PATH by the tools' own names. The link between two of them is a real TCP connection
between the addresses that the twin gave their pods; what the hardware gives is what the node's own /sys shows and
what ails it (hardware.py).
"""

"""Runs on a node, inside a probe Job or by hand. Standard library only (the CUDA payloads import torch).

A probe reads and computes; it never repairs what it measures, and it does not judge: gates do.
"""

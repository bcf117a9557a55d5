"""Builds of a kernel or of Kubernetes that are other ones than the standard build of the same numbers. Pure.

| written | is |
|---|---|
| `5.14.0-427.el9_4.x86_64+rt`, `4.18.0-372.9.1.rt7.166.el8`, `6.8.0-45-realtime` | a real-time kernel |
| `5.14.0-427.el9_4.aarch64+64k`, `6.8.0-45-generic-64k` | one with pages of 64 KiB |
| `6.8.0-1021-azure`, `6.4.0-150600.23.17-azure` | a cloud's or a vendor's |
| `1.31.4+rke2r1`, `1.31.4-eks-7f9249a`, `1.31.4-gke.1234000` | a distribution of Kubernetes |

Sources: RHEL's kernel.spec (kernel-rt, kernel-64k, kernel-debug), Ubuntu's and SUSE's kernel flavours; the kubelets of
RKE2, K3s, EKS and GKE. OpenShift's kubelets carry a commit behind a plus (1.27.4+deb2c60), and are no other build.
"""

from __future__ import annotations

import re

_OWN = frozenset(
    (
        "rt",
        "64k",
        "debug",
        "lowlatency",
        "azure",
        "aws",
        "gcp",
        "gke",
        "oracle",
        "ibm",
        "nvidia",
        "kvm",
        "cloud",
        "uek",
    )
)
_SAME = {"realtime": "rt", "64kb": "64k", "el8uek": "uek", "el9uek": "uek"}
_REAL_TIME = re.compile(r"rt\d+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,40}", re.ASCII)


def of_kernel(tail: str) -> str:
    """What the words behind a kernel's numbers say of its build, in one order, "" for the standard one."""
    words = re.split(r"[.+_-]", tail)
    found = {"rt" if _REAL_TIME.fullmatch(word) else _SAME.get(word, word) for word in words}
    return "-".join(sorted(found & _OWN))


def of_kubernetes(build: str) -> str:
    """The distribution behind a version of Kubernetes, "" for upstream's and OpenShift's own."""
    text = build.lstrip("+-")
    return "" if build.startswith("+") and _COMMIT.fullmatch(text) else text

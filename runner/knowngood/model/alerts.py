"""Where a cluster's alerts can be silenced while its nodes are out."""

from __future__ import annotations

from dataclasses import dataclass

from knowngood.model.values import Values


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """An Alertmanager (API v2); "" in `at`: none, alerts are left alone.

    `at`: a URL, or `NAMESPACE/[SCHEME:]NAME:PORT`, a service that is asked through the API server's proxy, which hands
    no credentials on. Of a URL: `token` says where the token is (`env:NAME`, `file:PATH`), `ca` is a PEM file with the
    authorities that it is proven by, "" for the system's. `labels`: an alert is a node's where one of these labels is
    the node's name, with or without a port.
    """

    at: str = ""
    token: str = ""
    ca: str = ""
    labels: tuple[str, ...] = ("node", "instance")

    @classmethod
    def of(cls, values: Values) -> Alertmanager:
        """As a cluster file has it."""
        labels = {"labels": tuple(values["labels"])} if "labels" in values else {}
        return cls(**{**values, **labels})

    @property
    def url(self) -> str:
        """Its URL, "" where it is a service."""
        return self.at if "://" in self.at else ""

    @property
    def service(self) -> tuple[str, str]:
        """The service's namespace, and its name as the API server's proxy wants it; "" and "" where it is a URL."""
        namespace, _, name = ("" if self.url else self.at).partition("/")
        return namespace, name


NONE = Alertmanager()
"""Alerts are left alone."""

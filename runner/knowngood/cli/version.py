"""The version as a constant: asking the installed metadata costs four times an empty Python start."""

VERSION = "0.1.0"

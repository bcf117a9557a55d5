"""The commands: parse, build, execute, no decisions. `main` is the entry point, `wiring` builds the ports."""

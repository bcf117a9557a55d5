"""The coupled search: all components' ways at once, as a problem that is made smaller and solved, or relaxed."""

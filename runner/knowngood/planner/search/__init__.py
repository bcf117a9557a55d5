"""The coupled search: all components' ways at once, posed as a problem, made smaller, solved, and relaxed where it has none."""

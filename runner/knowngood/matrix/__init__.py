"""Files to model and back: load with file and line, lint, locate, edit one value."""

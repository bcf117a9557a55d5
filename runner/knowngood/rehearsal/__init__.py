"""A cluster file becomes a twin's seed and a GitOps repository, with its durations compressed. No I/O."""

"""What must be so before a run's first commit: rights, the objects that declare what moves, Argo CD's windows."""

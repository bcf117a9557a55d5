"""What can be told of a cluster from what it shows: a cluster file, the versions that run, and what is not known."""

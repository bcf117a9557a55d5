"""The fabric payload: what two nodes measure between each other with the tools that people use for it."""

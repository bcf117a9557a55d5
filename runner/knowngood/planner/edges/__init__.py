"""How one component gets from a version to a version: the edges of its graph, the way along them, why there is none."""

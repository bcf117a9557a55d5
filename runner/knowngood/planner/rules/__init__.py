"""Which versions go together: what rules say of a set of versions, and what that leaves to choose from."""

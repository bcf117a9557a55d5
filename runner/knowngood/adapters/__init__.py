"""The outside world: one module a port, and what these need (the supervisor, the client, Git's commands).

Only here are kubernetes, git, ansible_runner and subprocess imported. What to do is decided elsewhere:
an adapter does it, says what came of it in the port's values, and turns foreign errors into ours.
"""

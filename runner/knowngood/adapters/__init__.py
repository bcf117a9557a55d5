"""The outside world, a room for each part of it; imports go down this list.

judging → gitops | upstream → processes → movers → nodes → cluster → kubernetes; clock, journal, stage and layout
stand beside them. Only here are kubernetes, git, ansible_runner and subprocess imported. What to do is decided
elsewhere: an adapter does it, says what came of it in the port's values, and turns foreign errors into ours.
"""

"""Reducers of what is known: pools, flow, mints. They never emit; deciders read them, read-only."""

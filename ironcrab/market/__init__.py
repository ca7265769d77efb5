"""Reducers of what is known: mints, pools, flow. They never emit; deciders read them through `Known`."""

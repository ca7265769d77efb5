"""Reducers that want: they emit intents and verdicts."""

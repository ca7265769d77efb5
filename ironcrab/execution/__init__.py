"""Reducers that decide: one engine between an intent and its outcome."""

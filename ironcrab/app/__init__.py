"""Faces: the command line and the pytest plugin."""

"""Questions asked of a finished log."""

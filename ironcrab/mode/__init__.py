"""What one does with a log: run, replay, verify, explain."""

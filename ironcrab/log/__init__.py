"""The append-only log: lines, hot and sealed segments, recordings, snapshots, comparison."""

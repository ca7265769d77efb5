"""The words: units, what the market says, what we say and ask, control, faults. Imports msgspec only."""

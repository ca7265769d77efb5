"""The only floor that touches the world."""

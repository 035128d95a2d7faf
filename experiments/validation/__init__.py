"""Validation: what theory says, what the simulator gives."""

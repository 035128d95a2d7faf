"""Sweeps: what is varied, how the runs are made and continued, and when they are enough."""

"""Calibrated networks, one TOML file each."""

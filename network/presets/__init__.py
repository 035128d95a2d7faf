"""Calibrated networks, one TOML file each, with the sources of their numbers in the comments."""

from importlib import resources


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    files = (item.name for item in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))

"""The commands of ``blockspace``, a file each; libraries that are slow to import are left to those that need them."""

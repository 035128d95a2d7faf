"""Chains that settle on another one: what they post there, and how far it has got."""

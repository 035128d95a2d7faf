"""Automated market makers: pools of constant product and of concentrated liquidity, exact in integers."""

"""European options settled in cash: what they are worth, how that moves, and which volatility a price implies."""

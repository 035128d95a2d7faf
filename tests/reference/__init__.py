"""The slow, obvious twin of a whole block: the market written as plain Python objects in a plain Mesa model.

It is the oracle of the compiled market, which must give the same tape to the last unit, and the yardstick of its speed.
"""

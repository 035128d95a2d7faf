"""Measured latencies between nine cloud regions.

The figures are round trips in milliseconds: medians over the 30 days to 9 April 2024 between Microsoft Azure
regions, from "Azure network round-trip latency statistics" (Microsoft, 2024), probed from the later to the
earlier region of the list. They are approximate for anybody else: other providers and months differ by
several per cent, the two directions of a pair by up to 4 ms. Half a round trip stands for one direction.

Azure calls them East US, West US, Brazil South, UK South, Germany West Central, Central India (Pune, 120 km
from Mumbai), Southeast Asia, Japan East and Australia East.
"""

ROUND_TRIP_MS: dict[str, tuple[int, ...]] = {
    "virginia": (),
    "california": (69,),
    "sao_paulo": (118, 186),
    "london": (78, 137, 180),
    "frankfurt": (90, 149, 192, 17),
    "mumbai": (210, 220, 311, 134, 134),
    "singapore": (227, 171, 343, 157, 156, 53),
    "tokyo": (158, 108, 280, 226, 223, 120, 71),
    "sydney": (204, 140, 311, 258, 243, 140, 90, 103),
}
"""Round trip from a region to each region above it, in the order of the dictionary."""

REGIONS: tuple[str, ...] = tuple(ROUND_TRIP_MS)
"""Names of the regions."""


def one_way_latency_ms(first: str, second: str) -> float:
    """Latency in milliseconds between the internet hubs of two regions, half of the measured round trip.

    Parameters
    ----------
    first, second
        Two of :data:`REGIONS`, in either order.

    Returns
    -------
    float
        Milliseconds; 0 from a region to itself.

    Raises
    ------
    ValueError
        If a region is unknown.

    Examples
    --------
    >>> one_way_latency_ms("frankfurt", "tokyo")
    111.5
    """
    for name in (first, second):
        if name not in ROUND_TRIP_MS:
            raise ValueError(f"region was {name!r}; it must be one of {', '.join(REGIONS)}")
    earlier, later = sorted((first, second), key=REGIONS.index)
    return 0.0 if earlier == later else ROUND_TRIP_MS[later][REGIONS.index(earlier)] / 2

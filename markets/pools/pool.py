"""Automated market makers for use from Python: one pool, its units and its checks.

The kernels are those of :mod:`~blockspace.markets.pools.constant_product`,
:mod:`~blockspace.markets.pools.concentrated_liquidity` and :mod:`~blockspace.markets.pools.concentrated_swaps`. Base is
in whole lots, quote in whole micro-dollars, and a price is micro-dollars per lot.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import numpy.typing as npt
import pandas as pd

from blockspace.markets.ledger import ACCOUNTS
from blockspace.markets.matching import side_number, whole_number
from blockspace.markets.pools import checks, concentrated_swaps, constant_product
from blockspace.markets.pools import concentrated_liquidity as ranges
from blockspace.markets.pools.concentrated_liquidity import (
    CONCENTRATED_POOL,
    FEE_TIERS,
    LARGEST_TICK_SPACING,
    POSITIONS,
)
from blockspace.markets.pools.constant_product import CONSTANT_PRODUCT_POOL
from blockspace.markets.pools.swaps import (
    BASE,
    LARGEST_AMOUNT,
    OUTCOME,
    QUOTE,
    REFUSALS,
    SWAP,
    Arbitrage,
    Exchange,
    Swap,
)
from blockspace.markets.pools.ticks import (
    HIGHEST_SQRT_PRICE,
    LOWEST_SQRT_PRICE,
    MAXIMUM_TICK,
    MINIMUM_TICK,
    price_of,
    sqrt_price_of,
    tick_at,
)

LARGEST_OWNER = 2**32 - 1
MOST_BASIS_POINTS = 100_000


class PoolRefused(ValueError):
    """Something that a pool refused; ``code`` is one of the refusals of :mod:`blockspace.markets.pools.swaps`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The pool refused: {REFUSALS[code]}.")
        self.code = code


class Position(NamedTuple):
    """A position that was opened or enlarged: its slot, and the lots and micro-dollars that were paid for it."""

    position: int
    base: int
    quote: int


def _accepted(outcome: Any) -> Any:
    """An outcome, or an error if it is a refusal."""
    if outcome.status < 0:
        raise PoolRefused(int(outcome.status))
    return outcome


def _amount(name: str, value: Any, lowest: int = 1) -> np.int64:
    return np.int64(whole_number(name, value, lowest, LARGEST_AMOUNT))


def _side_and_amount(side: str, amount: int) -> tuple[np.int64, np.int64]:
    return np.int64(side_number(side)), _amount("amount", amount)


def _price(name: str, value: float) -> float:
    lowest, highest = price_of(LOWEST_SQRT_PRICE), price_of(HIGHEST_SQRT_PRICE)
    try:
        price = float(value)
    except (TypeError, ValueError):
        price = math.nan
    if not lowest <= price <= highest:
        raise ValueError(
            f"{name} is {value!r}, but must be a number of micro-dollars per lot from {lowest:.3g} to {highest:.3g}."
        )
    return price


class _Pool(ABC):
    """What both kinds of pool can do; ``_kernels`` is the module with the kernels of the kind."""

    _pools: npt.NDArray[Any]
    _kernels: Any

    @property
    def record(self) -> Any:
        """The packed record that is the whole pool, as a view."""
        return self._pools[0]

    @property
    @abstractmethod
    def price(self) -> float:
        """Price in micro-dollars per lot, before fees."""

    @property
    def reserves(self) -> tuple[int, int]:
        """Lots and micro-dollars that the pool holds."""
        base, quote = self.record["reserves"].tolist()
        return base, quote

    @property
    def fees(self) -> tuple[int, int]:
        """Lots and micro-dollars of fees ever paid to the pool."""
        base, quote = self.record["fees"].tolist()
        return base, quote

    def arbitrage(self, price: float) -> Arbitrage:
        """Return the exact input that earns most against an external price in micro-dollars per lot, after fees.

        It moves the price of the pool to the external one, but for the fee. Side 0 if there is nothing to earn.
        """
        return Arbitrage(*self._kernels.arbitrage(self.record, _price("price", price)))

    def depth(self, basis_points: float = 100.0) -> pd.DataFrame:
        """What changes hands, fees apart, until the price has moved.

        Parameters
        ----------
        basis_points
            Distance of the price, above 0 and at most 100,000: up by this part, and down by as much again as would
            bring it back.

        Returns
        -------
        pandas.DataFrame
            Rows "buy" (what the pool buys as the price falls) and "sell", as in the depth of a book. Columns
            ``side``, ``price`` (where it ends, micro-dollars per lot), ``base`` in lots and ``quote`` in
            micro-dollars.
        """
        if not 0.0 < basis_points <= MOST_BASIS_POINTS:
            raise ValueError(
                f"basis_points is {basis_points!r}, but must be a number above 0 and at most {MOST_BASIS_POINTS:,}."
            )
        ratio = 1.0 + basis_points / 10_000
        rows = []
        for side, price in (("buy", self.price / ratio), ("sell", self.price * ratio)):
            base, quote = self._kernels.depth_within(self.record, np.int64(side_number(side)), price)
            rows.append((side, price, base, quote))
        return pd.DataFrame(rows, columns=["side", "price", "base", "quote"])

    def apply(self, swaps: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Make a batch of swaps in order, without price limits.

        Parameters
        ----------
        swaps
            Array of dtype ``SWAP``, shape ``(n,)``.

        Returns
        -------
        numpy.ndarray
            Array of dtype ``OUTCOME``, shape ``(n,)``. A negative status is a refusal.

        Raises
        ------
        ValueError
            If the array is of another type or shape.
        """
        if swaps.dtype != SWAP or swaps.ndim != 1:
            raise ValueError(
                f"swaps is an array of {swaps.dtype} with {swaps.ndim} dimensions, "
                "but must be of dtype SWAP with one dimension."
            )
        outcomes = np.zeros(len(swaps), OUTCOME)
        self._kernels.apply_swaps(self._pools, swaps, outcomes)
        return outcomes


class ConstantProductPool(_Pool):
    """A pool whose product of reserves never falls, opened with its first liquidity.

    Parameters
    ----------
    base, quote
        First liquidity in lots and micro-dollars; their ratio is the price.
    fee_ppm
        Fee in millionths of what goes in.
    owner
        Account that gets the first shares.

    Examples
    --------
    >>> pool = ConstantProductPool(base=1_000_000, quote=2_000_000_000_000)
    >>> pool.swap_exact_in("buy", 20_000_000_000)
    Swap(status=0, amount_in=20000000000, amount_out=9871, fee=60000000)
    >>> pool.reserves
    (990129, 2020000000000)
    """

    _kernels = constant_product

    def __init__(self, base: int, quote: int, fee_ppm: int = 3_000, owner: int = 0) -> None:
        self._pools = np.zeros(1, CONSTANT_PRODUCT_POOL)
        constant_product.open_constant_product_pool(self.record, fee_ppm)
        self.mint(base, quote, owner)

    @property
    def price(self) -> float:
        """Price in micro-dollars per lot, before fees."""
        base, quote = self.reserves
        return quote / base

    def quote_exact_in(self, side: str, amount: int) -> Swap:
        """What :meth:`swap_exact_in` would do now."""
        sign, units = _side_and_amount(side, amount)
        return Swap(*_accepted(constant_product.quote_exact_in(self.record, sign, units)))

    def quote_exact_out(self, side: str, amount: int) -> Swap:
        """What :meth:`swap_exact_out` would do now."""
        sign, units = _side_and_amount(side, amount)
        return Swap(*_accepted(constant_product.quote_exact_out(self.record, sign, units)))

    def swap_exact_in(self, side: str, amount: int, least_out: int = 0) -> Swap:
        """Swap a given amount in.

        Parameters
        ----------
        side
            ``"buy"`` pays micro-dollars for lots, ``"sell"`` the reverse.
        amount
            What goes in, fee included, 1 to 2^62.
        least_out
            Refuse the swap if less came out.

        Returns
        -------
        Swap
            The amounts to transfer, exactly.

        Raises
        ------
        PoolRefused
            If the pool refused; nothing has changed then.
        ValueError
            If an argument is not what it may be.
        """
        (sign, units), bound = _side_and_amount(side, amount), _amount("least_out", least_out, 0)
        return Swap(*_accepted(constant_product.swap_exact_in(self.record, sign, units, bound)))

    def swap_exact_out(self, side: str, amount: int, most_in: int = LARGEST_AMOUNT) -> Swap:
        """Swap for a given amount out, unless it costs more than ``most_in``; see :meth:`swap_exact_in`."""
        (sign, units), bound = _side_and_amount(side, amount), _amount("most_in", most_in)
        return Swap(*_accepted(constant_product.swap_exact_out(self.record, sign, units, bound)))

    def shares(self, owner: int) -> int:
        """Shares of an account."""
        return int(self.record["shares"][whole_number("owner", owner, 0, ACCOUNTS - 1)])

    def mint(self, base: int, quote: int, owner: int = 0) -> Exchange:
        """Add liquidity: at most so many lots and micro-dollars, in the ratio of the reserves.

        Returns shares and the amounts that were taken; raises PoolRefused if the pool refused, ValueError if an
        argument is not what it may be.
        """
        account = np.int64(whole_number("owner", owner, 0, ACCOUNTS - 1))
        lots, micro_dollars = _amount("base", base), _amount("quote", quote)
        return Exchange(*_accepted(constant_product.mint(self.record, account, lots, micro_dollars)))

    def burn(self, shares: int, owner: int = 0) -> Exchange:
        """Redeem shares for their part of the reserves; raises like :meth:`mint`."""
        account = np.int64(whole_number("owner", owner, 0, ACCOUNTS - 1))
        return Exchange(*_accepted(constant_product.burn(self.record, account, _amount("shares", shares))))

    def check(self) -> None:
        """Assert every invariant of the pool; see :func:`blockspace.markets.pools.checks.check_constant_product`."""
        checks.check_constant_product(self.record)


class ConcentratedPool(_Pool):
    """A pool whose providers choose the range of prices of their liquidity.

    Parameters
    ----------
    price
        First price in micro-dollars per lot, 2 * 10^-6 to 1.2 * 10^17.
    fee_ppm
        Fee in millionths of what goes in.
    tick_spacing
        Positions start and end at multiples of this; by default that of the usual fees 100, 500, 3,000 and 10,000.

    Examples
    --------
    >>> pool = ConcentratedPool(price=2_000_000.0)
    >>> pool.tick
    145093
    >>> pool.mint(lower=145_020, upper=145_200, liquidity=10**12)
    Position(position=0, base=3743489, quote=5210797532695)
    >>> pool.swap_exact_in("buy", 20_000_000_000)
    Swap(status=0, amount_in=20000000000, amount_out=9969, fee=60000205)
    """

    _kernels = concentrated_swaps

    def __init__(self, price: float, fee_ppm: int = 3_000, tick_spacing: int | None = None) -> None:
        if tick_spacing is None:
            if fee_ppm not in FEE_TIERS:
                raise ValueError(
                    f"tick_spacing is None, but must be a whole number from 1 to {LARGEST_TICK_SPACING:,} "
                    f"where fee_ppm is none of {', '.join(map(str, FEE_TIERS))}."
                )
            tick_spacing = FEE_TIERS[fee_ppm]
        self._pools = np.zeros(1, CONCENTRATED_POOL)
        sqrt_price = int(sqrt_price_of(_price("price", price)))
        ranges.open_concentrated_pool(self.record, sqrt_price, fee_ppm, tick_spacing)

    @property
    def price(self) -> float:
        """Price in micro-dollars per lot, before fees."""
        return float(price_of(self.record["sqrt_price"]))

    @property
    def tick(self) -> int:
        """Highest tick whose price is at most that of the pool."""
        return int(tick_at(self.record["sqrt_price"]))

    @property
    def liquidity(self) -> int:
        """Liquidity that is active at the price."""
        return int(self.record["liquidity"])

    @property
    def full_range(self) -> tuple[int, int]:
        """First and last tick where a position may start and end."""
        spacing = int(self.record["tick_spacing"])
        return -(-MINIMUM_TICK // spacing) * spacing, MAXIMUM_TICK // spacing * spacing

    @property
    def dust(self) -> tuple[int, int]:
        """Lots and micro-dollars of the reserves that rounding has left and nobody can claim."""
        base, quote = checks.claims(self.record)
        return self.reserves[BASE] - base, self.reserves[QUOTE] - quote

    def quote_exact_in(self, side: str, amount: int, price_limit: float | None = None) -> Swap:
        """What :meth:`swap_exact_in` would do now."""
        sign, units = _side_and_amount(side, amount)
        limit = _sqrt_price_limit(price_limit)
        return Swap(*_accepted(concentrated_swaps.quote_exact_in(self.record, sign, units, limit)))

    def quote_exact_out(self, side: str, amount: int, price_limit: float | None = None) -> Swap:
        """What :meth:`swap_exact_out` would do now."""
        sign, units = _side_and_amount(side, amount)
        limit = _sqrt_price_limit(price_limit)
        return Swap(*_accepted(concentrated_swaps.quote_exact_out(self.record, sign, units, limit)))

    def swap_exact_in(self, side: str, amount: int, least_out: int = 0, price_limit: float | None = None) -> Swap:
        """Swap up to a given amount in.

        Parameters
        ----------
        side
            ``"buy"`` pays micro-dollars for lots, ``"sell"`` the reverse.
        amount
            What goes in, fee included, 1 to 2^62.
        least_out
            Refuse the swap if less came out.
        price_limit
            Price in micro-dollars per lot to stop at; None to go as far as there is liquidity.

        Returns
        -------
        Swap
            The amounts to transfer, exactly. The status is 1 if the swap stopped before ``amount`` was used up.

        Raises
        ------
        PoolRefused
            If the pool refused; nothing has changed then.
        ValueError
            If an argument is not what it may be.
        """
        (sign, units), bound = _side_and_amount(side, amount), _amount("least_out", least_out, 0)
        limit = _sqrt_price_limit(price_limit)
        return Swap(*_accepted(concentrated_swaps.swap_exact_in(self.record, sign, units, bound, limit)))

    def swap_exact_out(
        self, side: str, amount: int, most_in: int = LARGEST_AMOUNT, price_limit: float | None = None
    ) -> Swap:
        """Swap for up to a given amount out, unless it costs more than ``most_in``; see :meth:`swap_exact_in`."""
        (sign, units), bound = _side_and_amount(side, amount), _amount("most_in", most_in)
        limit = _sqrt_price_limit(price_limit)
        return Swap(*_accepted(concentrated_swaps.swap_exact_out(self.record, sign, units, bound, limit)))

    def liquidity_for(self, lower: int, upper: int, base: int, quote: int) -> int:
        """Most liquidity between two ticks that costs no more than so many lots and micro-dollars; 0 if none."""
        lots, micro_dollars = _amount("base", base, 0), _amount("quote", quote, 0)
        return int(ranges.liquidity_for(self.record, *self._range(lower, upper), lots, micro_dollars))

    def mint(self, lower: int, upper: int, liquidity: int, owner: int = 0, position: int | None = None) -> Position:
        """Provide liquidity between two ticks.

        Parameters
        ----------
        lower, upper
            Ticks of the range, multiples of the tick spacing.
        liquidity
            At least 1.
        owner
            Account of the position, 0 to 2^32 - 1.
        position
            Slot of a position of the same owner and range to add to, or a free slot; None to choose a free one.

        Returns
        -------
        Position
            The slot, and the lots and micro-dollars that the owner pays.

        Raises
        ------
        PoolRefused
            If the pool refused.
        ValueError
            If an argument is not what it may be, or every slot is taken.
        """
        slot = self._free_slot() if position is None else whole_number("position", position, 0, POSITIONS - 1)
        account = np.int64(whole_number("owner", owner, 0, LARGEST_OWNER))
        ticks, amount = self._range(lower, upper), _amount("liquidity", liquidity)
        minted = _accepted(ranges.mint(self.record, np.int64(slot), account, *ticks, amount))
        return Position(slot, minted.base, minted.quote)

    def burn(self, position: int, liquidity: int, owner: int = 0) -> Exchange:
        """Take liquidity (0 or more) out of a position. What it consists of, and fees, are owed until collected."""
        slot, account = self._slot_and_owner(position, owner)
        return Exchange(*_accepted(ranges.burn(self.record, slot, account, _amount("liquidity", liquidity, 0))))

    def collect(self, position: int, owner: int = 0) -> Exchange:
        """Pay out all that a position is owed, its fees until now included."""
        return Exchange(*_accepted(ranges.collect(self.record, *self._slot_and_owner(position, owner))))

    def check(self) -> None:
        """Assert every invariant of the pool; see :func:`blockspace.markets.pools.checks.check_concentrated`."""
        checks.check_concentrated(self.record)

    def _range(self, lower: int, upper: int) -> tuple[np.int64, np.int64]:
        first, last = self.full_range
        spacing = int(self.record["tick_spacing"])
        for name, tick in (("lower", lower), ("upper", upper)):
            if not isinstance(tick, SupportsIndex) or not first <= tick <= last or tick % spacing:
                raise ValueError(
                    f"{name} is {tick!r}, but must be a multiple of {spacing:,} from {first:,} to {last:,}."
                )
        if lower >= upper:
            raise ValueError(f"lower is {lower!r}, but must be below upper, which is {upper!r}.")
        return np.int64(lower), np.int64(upper)

    def _slot_and_owner(self, position: int, owner: int) -> tuple[np.int64, np.int64]:
        slot = np.int64(whole_number("position", position, 0, POSITIONS - 1))
        return slot, np.int64(whole_number("owner", owner, 0, LARGEST_OWNER))

    def _free_slot(self) -> int:
        positions = self.record["positions"]
        free = np.flatnonzero((positions["liquidity"] == 0) & ~positions["owed"].any(axis=1))
        if len(free) == 0:
            raise ValueError(f"The pool is full: all its {POSITIONS:,} positions are taken.")
        return int(free[0])


def _sqrt_price_limit(price_limit: float | None) -> np.uint64:
    if price_limit is None:
        return concentrated_swaps.NO_LIMIT
    return np.uint64(sqrt_price_of(_price("price_limit", price_limit)))

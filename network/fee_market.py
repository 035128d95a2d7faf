"""How a chain prices its space: fee rules, exact to the specification in Python integers.

A fee rule turns the use of one block into the base fee of the next. Fees are in wei per unit of gas. Rules
are looked up by name in :data:`FEE_RULES`, and a rule of your own is a class with two members:

>>> @dataclass(frozen=True)
... class DoubleOrHalve(FeeRule):
...     '''Doubles after a full block and halves after any other.'''
...     initial_base_fee = 1_000
...     def after_block(self, base_fee: int, gas_used: int, gas_limit: int, seconds: int = 0) -> int:
...         return 2 * base_fee if gas_used == gas_limit else max(base_fee // 2, 1)
>>> FEE_RULES["double_or_halve"] = DoubleOrHalve
>>> rule = FEE_RULES.pop("double_or_halve")()
>>> rule.after_block(rule.initial_base_fee, gas_used=30, gas_limit=30)
2000
>>> rule.after_empty_blocks(2_000, count=1_000_000, gas_limit=30)
1
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import pairwise

from blockspace.network.state import Stateful

MINIMUM_GAS_LIMIT = 5_000
GAS_LIMIT_BOUND_DIVISOR = 1_024

MANY_BLOCKS = 10**9
"""Empty blocks after which every base fee is as low as it gets."""


def _require_at_least(name: str, value: int, minimum: int) -> None:
    if value < minimum:
        raise ValueError(f"{name} was {value}; it must be {minimum} or more")


def next_base_fee(
    base_fee: int, gas_used: int, gas_limit: int, elasticity: int = 2, denominator: int = 8, minimum: int = 0
) -> int:
    """Base fee of the next block under EIP-1559 (Buterin, Conner, Dudley, Slipper, Norden and Bakhta, 2019).

    With target ``T = gas_limit // elasticity``, base fee ``b`` and use ``g``, the next base fee is

    - ``b + max(b (g - T) // T // denominator, 1)`` above the target,
    - ``b - b (T - g) // T // denominator`` on it and below,

    and never less than ``minimum``. Every division rounds down, so that at Ethereum's parameters an empty
    block leaves 7 wei as they are.

    Parameters
    ----------
    base_fee
        Base fee of the block that was made, in wei per gas.
    gas_used
        Gas that it used, from 0 to ``gas_limit``.
    gas_limit
        Gas that it could hold.
    elasticity
        Gas limit over target.
    denominator
        A full block of elasticity 2 raises the fee by one part in ``denominator``.
    minimum
        Least base fee in wei per gas (the minimum base fee of the OP Stack; 0 on Ethereum).

    Returns
    -------
    int
        Wei per gas.

    Raises
    ------
    ValueError
        If the limit is too small to have a target, or the use is negative or above the limit.

    Examples
    --------
    >>> next_base_fee(1_000_000_000, gas_used=60_000_000, gas_limit=60_000_000)
    1125000000
    """
    _require_at_least("gas_limit", gas_limit, elasticity)
    if not 0 <= gas_used <= gas_limit:
        raise ValueError(f"gas_used was {gas_used}; it must be from 0 to the gas limit, {gas_limit}")
    target = gas_limit // elasticity
    if gas_used > target:
        # The rise is at least 1 wei, the fall is not: a low fee can always recover.
        following = base_fee + max(base_fee * (gas_used - target) // target // denominator, 1)
    else:
        following = base_fee - base_fee * (target - gas_used) // target // denominator
    return max(following, minimum)


def exponential_basis_points(exponent: int) -> int:
    """Quartic polynomial that Arbitrum takes for the exponential, all in basis points (Offchain Labs, 2025).

    Parameters
    ----------
    exponent
        Basis points, 0 or more.

    Returns
    -------
    int
        Basis points; 5 % too few at an exponent of 2.

    Examples
    --------
    >>> exponential_basis_points(10_000)
    27083
    """
    _require_at_least("exponent", exponent, 0)
    found = 10_000 + exponent // 4
    for divisor in (3, 2, 1):
        found = 10_000 + found * exponent // (divisor * 10_000)
    return found


def next_gas_limit(parent_limit: int, desired: int) -> int:
    """Gas limit nearest to ``desired`` that a proposer may set (Wood, 2014, equation 47 of the Yellow Paper).

    It differs from its parent's by less than ``parent_limit // 1024`` and is 5,000 or more.

    Parameters
    ----------
    parent_limit
        Gas limit of the parent block, 5,000 or more.
    desired
        Gas limit that the proposer votes for.

    Returns
    -------
    int
        Gas.

    Raises
    ------
    ValueError
        If the parent's limit is below 5,000.

    Examples
    --------
    >>> next_gas_limit(30_000_000, desired=60_000_000)
    30029295
    """
    _require_at_least("parent_limit", parent_limit, MINIMUM_GAS_LIMIT)
    largest_step = parent_limit // GAS_LIMIT_BOUND_DIVISOR - 1
    nearest = min(max(desired, parent_limit - largest_step), parent_limit + largest_step)
    return max(nearest, MINIMUM_GAS_LIMIT)


class FeeRule(Stateful, ABC):
    """What a chain asks of its fee market. Subclasses are small frozen dataclasses."""

    burns_base_fee: bool = True
    """Whether the base fee is destroyed; otherwise the sequencer or proposer receives it."""

    @property
    @abstractmethod
    def initial_base_fee(self) -> int:
        """Base fee of the first block, in wei per gas."""

    @abstractmethod
    def after_block(self, base_fee: int, gas_used: int, gas_limit: int, seconds: int = 0) -> int:
        """Base fee (wei per gas) of the block after one with ``base_fee`` that used ``gas_used``.

        ``seconds`` are how many whole seconds the clock is further then, for rules that look at the clock.
        """

    def after_empty_blocks(self, base_fee: int, count: int, gas_limit: int, seconds: int = 0) -> int:
        """Base fee (wei per gas) after ``count`` empty blocks in a row, and so many whole seconds.

        It stops as soon as the fee no longer moves, so that a long quiet stretch costs nothing.
        """
        for _ in range(count):
            following = self.after_block(base_fee, 0, gas_limit)
            if following == base_fee:
                break
            base_fee = following
        return base_fee

    def lowest_base_fee(self, gas_limit: int) -> int:
        """Base fee (wei per gas) to which the rule comes down if nobody wants the space."""
        return self.after_empty_blocks(self.initial_base_fee, MANY_BLOCKS, gas_limit)

    def target_gas(self, gas_limit: int) -> int:
        """Use of a block at which the base fee stands still; the limit itself where no fee reacts to use."""
        return gas_limit


@dataclass(frozen=True)
class EIP1559(FeeRule):
    """Base fee that follows the use of the last block; see :func:`next_base_fee`.

    Parameters
    ----------
    elasticity
        Gas limit over target, 1 or more (2 on Ethereum, 6 on OP Mainnet).
    denominator
        Slowness of the fee, 1 or more (8 on Ethereum, 250 on OP Mainnet).
    minimum_base_fee_wei
        Least base fee in wei per gas.
    initial_base_fee_wei
        Base fee of the first block in wei per gas, not below the minimum.
    burns_base_fee
        Whether the base fee is destroyed (Ethereum) or paid to the sequencer (rollups).

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    elasticity: int = 2
    denominator: int = 8
    minimum_base_fee_wei: int = 0
    initial_base_fee_wei: int = 1_000_000_000
    burns_base_fee: bool = True

    def __post_init__(self) -> None:
        _require_at_least("elasticity", self.elasticity, 1)
        _require_at_least("denominator", self.denominator, 1)
        _require_at_least("minimum_base_fee_wei", self.minimum_base_fee_wei, 0)
        _require_at_least("initial_base_fee_wei", self.initial_base_fee_wei, self.minimum_base_fee_wei)

    @property
    def initial_base_fee(self) -> int:
        """Base fee of the first block, in wei per gas."""
        return self.initial_base_fee_wei

    def after_block(self, base_fee: int, gas_used: int, gas_limit: int, seconds: int = 0) -> int:
        """Base fee (wei per gas) of the next block; see :func:`next_base_fee`."""
        return next_base_fee(
            base_fee, gas_used, gas_limit, self.elasticity, self.denominator, self.minimum_base_fee_wei
        )

    def target_gas(self, gas_limit: int) -> int:
        """Use of a block at which the base fee stands still."""
        return gas_limit // self.elasticity


@dataclass(frozen=True)
class FirstPrice(FeeRule):
    """First-price auction, as on Ethereum before August 2021: no base fee, and the whole bid is a tip."""

    burns_base_fee = False

    @property
    def initial_base_fee(self) -> int:
        """Zero."""
        return 0

    def after_block(self, base_fee: int, gas_used: int, gas_limit: int, seconds: int = 0) -> int:
        """Zero."""
        return 0


@dataclass(frozen=True)
class FixedPrice(FeeRule):
    """The same price per gas at all times, whatever the demand.

    Parameters
    ----------
    base_fee_wei
        Price in wei per gas, 0 or more.
    burns_base_fee
        Whether it is destroyed or paid to the sequencer.

    Raises
    ------
    ValueError
        If the price is negative.
    """

    base_fee_wei: int = 0
    burns_base_fee: bool = False

    def __post_init__(self) -> None:
        _require_at_least("base_fee_wei", self.base_fee_wei, 0)

    @property
    def initial_base_fee(self) -> int:
        """The fixed price, in wei per gas."""
        return self.base_fee_wei

    def after_block(self, base_fee: int, gas_used: int, gas_limit: int, seconds: int = 0) -> int:
        """The fixed price, in wei per gas."""
        return self.base_fee_wei


@dataclass
class GasTargets(FeeRule):
    """Base fee that follows how much more gas was used than several targets allow (Arbitrum; Offchain Labs, 2025).

    Each target has a backlog: what blocks use is added, and with every whole second the target is paid off. The base
    fee is the minimum times the exponential of all backlogs together, each in units of its target times its window. So
    a short rush is let through at a high target, and what lasts is slowed down to a low one.

    Parameters
    ----------
    gas_targets
        Pairs of gas per second, and of the seconds over which it counts: the higher, the shorter.
    minimum_base_fee_wei
        Base fee in wei per gas where nothing is behind.
    burns_base_fee
        Whether the base fee is destroyed or paid to the sequencer.

    Raises
    ------
    ValueError
        If there is no target, or one is not both lower and slower than the one before it.
    """

    gas_targets: tuple[tuple[int, int], ...] = ()
    minimum_base_fee_wei: int = 0
    burns_base_fee: bool = False
    backlogs: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        _require_at_least("minimum_base_fee_wei", self.minimum_base_fee_wei, 0)
        if not self.gas_targets:
            raise ValueError("gas_targets is empty; it must have a pair of gas per second and seconds for each target")
        for target in self.gas_targets:
            _require_at_least("a number of gas_targets", min(target), 1)
        for (gas, window), (lower, longer) in pairwise(self.gas_targets):
            if lower >= gas or longer <= window:
                raise ValueError(
                    f"gas_targets has {lower} gas per second over {longer} s after {gas} over {window} s; each must be "
                    "lower and over a longer time than the one before it"
                )
        self.backlogs = [0] * len(self.gas_targets)

    @property
    def initial_base_fee(self) -> int:
        """The minimum, in wei per gas."""
        return self.minimum_base_fee_wei

    def after_block(self, base_fee: int, gas_used: int, gas_limit: int, seconds: int = 0) -> int:
        """Take a block's gas and so many seconds in; base fee (wei per gas) of the next block."""
        exponent = 0
        for number, (target, window) in enumerate(self.gas_targets):
            self.backlogs[number] = max(self.backlogs[number] + gas_used - target * seconds, 0)
            exponent += self.backlogs[number] * 10_000 // (target * window)
        return self.minimum_base_fee_wei * exponential_basis_points(exponent) // 10_000

    def after_empty_blocks(self, base_fee: int, count: int, gas_limit: int, seconds: int = 0) -> int:
        """Let so many seconds pass in which nothing is used; base fee (wei per gas) after them."""
        return self.after_block(base_fee, 0, gas_limit, seconds)

    def lowest_base_fee(self, gas_limit: int) -> int:
        """The minimum, in wei per gas."""
        return self.minimum_base_fee_wei


FEE_RULES: dict[str, type[FeeRule]] = {
    "eip1559": EIP1559,
    "first_price": FirstPrice,
    "fixed": FixedPrice,
    "gas_targets": GasTargets,
}
"""Fee rules by the name that a configuration uses."""

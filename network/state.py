"""What an object holds, taken out as plain data and put back: what a checkpoint is made of.

One rule serves all that has state: every attribute counts, but for those that the class names in ``CONSTANTS``, which
the constructor gives back as they were. Whoever adds an attribute need not think of it: it is saved, or refused with a
sentence if it is not plain data. Plain data are numbers, text, truth values, None, arrays, random generators, and
lists, tuples and dictionaries of them. An attribute that is an object with attributes of its own is named in ``PARTS``,
unless it is :class:`Stateful` itself.

>>> class Counter(Stateful):
...     def __init__(self):
...         self.count = 0
>>> counter, other = Counter(), Counter()
>>> counter.count = 3
>>> other.restore(counter.state())
>>> other.count
3
"""

import random
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

_SCALARS = (type(None), bool, int, float, str)
_NUMPY_SCALARS = (np.bool_, np.integer, np.float32, np.float64)
_ABSENT = object()
_PAGE = 4096
_PAGES_AT_ONCE = 4096


class StateError(ValueError):
    """State that cannot be taken out or put back, said in one sentence."""


@dataclass(frozen=True)
class Part:
    """State of an object inside another: the name of its class, and what it holds."""

    kind: str
    state: dict[str, Any]


@dataclass
class Pieces:
    """Arrays that nobody changes once they are added, one after another: a checkpoint writes each of them once.

    Attributes
    ----------
    arrays
        The pieces so far.
    stored
        Files of a checkpoint that hold them: the name of each, and the number of pieces up to its end.
    """

    arrays: list[npt.NDArray[Any]] = field(default_factory=list)
    stored: list[tuple[str, int]] = field(default_factory=list)

    def append(self, array: npt.NDArray[Any]) -> None:
        """Add a piece to the end."""
        self.arrays.append(array)


class Stateful:
    """Base of what has state. Subclasses name what never changes, and what has parts, and nothing else."""

    CONSTANTS: ClassVar[tuple[str, ...]] = ()
    """Attributes that the constructor gives back as they were; those of the base classes count as well."""

    PARTS: ClassVar[tuple[str, ...]] = ()
    """Attributes that are objects with attributes of their own, without being :class:`Stateful`."""

    def state(self) -> dict[str, Any]:
        """What the object holds, as plain data and arrays. The arrays are the object's own: copy what is to stay.

        Raises
        ------
        StateError
            If an attribute is not plain data.
        """
        return attributes(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Make the object hold what :meth:`state` returned. Arrays are written in place: views of them stay good.

        Raises
        ------
        StateError
            If the state is that of something else.
        """
        set_attributes(self, state)


def _declared(kind: type, name: str) -> set[str]:
    """Names that a class and its bases give in ``CONSTANTS`` or ``PARTS``."""
    return {attribute for base in kind.__mro__ for attribute in vars(base).get(name, ())}


def attributes(thing: Any) -> dict[str, Any]:
    """Attributes of an object by name, without its constants.

    Raises
    ------
    StateError
        If one of them is not plain data.
    """
    kind = type(thing)
    if not hasattr(thing, "__dict__"):
        raise StateError(f"{kind.__name__} keeps its attributes in slots, so that they cannot be saved")
    constants, parts = _declared(kind, "CONSTANTS"), _declared(kind, "PARTS")
    return {
        name: part_of(value) if name in parts else _plain(value, f"{kind.__name__}.{name}")
        for name, value in vars(thing).items()
        if name not in constants
    }


def set_attributes(thing: Any, state: dict[str, Any]) -> None:
    """Give an object the attributes that :func:`attributes` returned, and take away those that it had not.

    Raises
    ------
    StateError
        If an attribute belongs to an object of another class.
    """
    present = vars(thing)
    for name in set(present) - set(state) - _declared(type(thing), "CONSTANTS"):
        object.__delattr__(thing, name)
    for name, value in state.items():
        # Frozen dataclasses have state as well: the array behind a price process.
        object.__setattr__(thing, name, _put_back(present.get(name, _ABSENT), value, f"{type(thing).__name__}.{name}"))


def part_of(thing: Any) -> Part:
    """State of an object, of whatever class."""
    # By way of the class: an agent may well have an attribute that is called `state`.
    return Part(type(thing).__name__, type(thing).state(thing) if isinstance(thing, Stateful) else attributes(thing))


def restore_part(thing: Any, part: Part, where: str) -> None:
    """Make an object hold what :func:`part_of` took out of another of the same class.

    Raises
    ------
    StateError
        If it is of another class; ``where`` says in the sentence what it is.
    """
    if type(thing).__name__ != part.kind:
        raise StateError(f"{where} is a {part.kind} in the checkpoint and a {type(thing).__name__} here")
    if isinstance(thing, Stateful):
        type(thing).restore(thing, part.state)
    elif isinstance(thing, np.random.Generator):
        thing.bit_generator.state = part.state
    elif isinstance(thing, random.Random):
        thing.setstate(part.state["state"])
    else:
        set_attributes(thing, part.state)


def _plain(value: Any, where: str) -> Any:
    """Return a value in which every object is a :class:`Part`, or refuse it; ``where`` says what it is."""
    if type(value) in _SCALARS or isinstance(value, (*_NUMPY_SCALARS, Pieces)):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value
    if type(value) in (list, tuple):
        return type(value)(_plain(item, where) for item in value)
    if type(value) is dict:
        return {_plain(name, where): _plain(item, where) for name, item in value.items()}
    if isinstance(value, np.random.Generator):
        return Part(type(value).__name__, _plain(dict(value.bit_generator.state), where))
    if isinstance(value, random.Random):
        return Part(type(value).__name__, {"state": value.getstate()})
    if isinstance(value, Stateful):
        return part_of(value)
    owner, _, attribute = where.rpartition(".")
    raise StateError(
        f"{where} holds a {type(value).__name__}, which is not plain data and cannot be saved: name {attribute} in "
        f"{owner}.CONSTANTS if it never changes, or give {owner} a state() and a restore() of its own"
    )


def _put_back(present: Any, value: Any, where: str) -> Any:
    """Value of an attribute that is ``present``: changed in place where it can be, so that all who hold it see it."""
    if isinstance(value, Part):
        if present is _ABSENT:
            raise StateError(f"{where} is a {value.kind} in the checkpoint and not there here")
        restore_part(present, value, where)
        return present
    if isinstance(value, np.ndarray):
        if not isinstance(present, np.ndarray) or (present.dtype, present.shape) != (value.dtype, value.shape):
            return value.copy()
        _copy_changed_pages(present, value)
        return present
    if isinstance(value, Pieces):
        present.arrays[:], present.stored[:] = value.arrays, value.stored
        return present
    if isinstance(value, list | tuple):
        before = present if type(present) is type(value) else ()
        items = [_put_back(*pair, where) for pair in zip_longest(before[: len(value)], value, fillvalue=_ABSENT)]
        if isinstance(value, tuple):
            return tuple(items)
        if type(present) is not list:
            return items
        present[:] = items
        return present
    if isinstance(value, dict):
        known = present if type(present) is dict else {}
        entries = {name: _put_back(known.get(name, _ABSENT), item, where) for name, item in value.items()}
        if type(present) is not dict:
            return entries
        present.clear()
        present.update(entries)
        return present
    return value


def _copy_changed_pages(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    """Copy an array, writing only where it differs: a page that nobody has ever touched still costs no memory."""
    if not (target.flags.c_contiguous and source.flags.c_contiguous) or target.nbytes < _PAGE:
        target[...] = source
        return
    into, out = (array.reshape(-1).view(np.uint8) for array in (target, source))
    whole = len(out) // _PAGE * _PAGE
    pages, news = (bytes_[:whole].view(np.uint64).reshape(-1, _PAGE // 8) for bytes_ in (into, out))
    for first in range(0, len(pages), _PAGES_AT_ONCE):
        old, new = (array[first : first + _PAGES_AT_ONCE] for array in (pages, news))
        changed = np.flatnonzero((old != new).any(axis=1))
        old[changed] = new[changed]
    into[whole:] = out[whole:]

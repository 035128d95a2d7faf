"""What an object holds, taken out and put back."""

import random

import numpy as np
import pytest

from blockspace.network.state import Part, StateError, Stateful, attributes

PAIR = np.dtype([("number", "i8"), ("side", "i1")], align=True)


class Thing(Stateful):
    CONSTANTS = ("name",)

    def __init__(self, name="thing"):
        self.name = name
        self.count = 0
        self.rows = np.zeros(5_000, PAIR)
        self.view = self.rows[:3]
        self.inner = None


class Special(Thing):
    CONSTANTS = ("picture",)

    def __init__(self):
        super().__init__("special")
        self.picture = object()


class Slotted:
    __slots__ = ("count",)


VALUES = [
    None,
    True,
    2**100,
    0.1,
    float("inf"),
    "text",
    np.float64(0.1),
    np.uint64(2**63),
    [1, (2, [3, "x"]), {"a": 1}],
    {1: (2, 3), ("a", 2): {"deep": [np.int8(1)]}},
    (),
]


@pytest.mark.parametrize("value", VALUES)
def test_plain_data_comes_back_with_its_types(value):
    one, other = Thing(), Thing()
    one.inner = value
    other.restore(one.state())
    assert other.inner == value
    assert repr(other.inner) == repr(value)


@pytest.mark.parametrize("value", [{1, 2}, object(), np.array([None]), iter([]), [b"bytes"], {"a": print}, 1j])
def test_other_values_are_refused_with_the_name_of_the_attribute(value):
    thing = Thing()
    thing.inner = value
    with pytest.raises(StateError, match=r"Thing.inner holds a .*: name inner in Thing.CONSTANTS if it never changes"):
        thing.state()


def test_arrays_are_changed_in_place_and_only_where_they_differ():
    one, other = Thing(), Thing()
    one.rows["number"][[1, 700, 4_999]] = 5, 6, 7
    rows, view = other.rows, other.view
    other.rows["number"][2_000] = 9
    other.restore(one.state())
    assert other.rows is rows
    assert other.view is view
    assert np.array_equal(rows, one.rows)
    assert view["number"][1] == 5


def test_an_array_of_another_size_takes_the_place_of_the_old_one():
    one, other = Thing(), Thing()
    one.inner = np.arange(3)
    other.inner = np.arange(7)
    other.restore(one.state())
    assert other.inner.tolist() == [0, 1, 2]
    other.inner[0] = 9
    assert one.inner[0] == 0


def test_lists_and_dictionaries_are_changed_in_place():
    one, other = Thing(), Thing()
    one.inner, other.inner = {"a": [1, 2]}, {"a": [7], "b": 3}
    inner, items = other.inner, other.inner["a"]
    other.restore(one.state())
    assert other.inner is inner
    assert inner["a"] is items
    assert inner == {"a": [1, 2]}


def test_constants_of_all_bases_are_left_alone():
    one, other = Special(), Special()
    one.count, one.name = 3, "one"
    picture = other.picture
    other.restore(one.state())
    assert (other.count, other.name, other.picture is picture) == (3, "special", True)


def test_attributes_that_came_later_go_again():
    one, other = Thing(), Thing()
    other.late = 3
    other.restore(one.state())
    assert not hasattr(other, "late")


def test_parts_are_put_back_on_parts_of_the_same_class_only():
    one, other = Thing(), Thing()
    one.inner, other.inner = Thing(), Thing()
    one.inner.count = 4
    inner = other.inner
    other.restore(one.state())
    assert (other.inner is inner, inner.count) == (True, 4)
    other.inner = Special()
    with pytest.raises(StateError, match=r"Thing.inner is a Thing in the checkpoint and a Special here"):
        other.restore(one.state())
    other.inner = Thing()
    with pytest.raises(StateError, match=r"Thing.late is a Thing in the checkpoint and not there here"):
        other.restore({**one.state(), "late": Part("Thing", {})})


@pytest.mark.parametrize("make", [lambda: np.random.default_rng(5), lambda: random.Random(5)])
def test_random_generators_go_on(make):
    one, other = Thing(), Thing()
    one.inner, other.inner = make(), make()
    one.inner.random()
    generator = other.inner
    other.restore(one.state())
    assert other.inner is generator
    assert [one.inner.random() for _ in range(3)] == [generator.random() for _ in range(3)]


def test_what_has_no_attributes_by_name_is_refused():
    with pytest.raises(StateError, match="Slotted keeps its attributes in slots"):
        attributes(Slotted())

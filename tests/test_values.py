from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from beeflow import values
from beeflow.errors import DocumentError, PendingValueError, TaskError
from beeflow.values import Broken, Items, Known, Linked, Output, Value

HOLE = Output("001-a", "0", "out")
OTHER = Output("002-b", "0", "out")
BROKEN = Broken("a FAILED: exit code 1")


def fill(**made: Value) -> values.Lookup:
    """Make a lookup that knows some groups."""
    return lambda output: made.get(output.group.partition("-")[2], output)


@pytest.mark.parametrize(
    ("given", "method", "merged"),
    [
        ([], None, None),
        ([1], None, 1),
        ([[1, 2]], None, [1, 2]),
        ([1], "merge_nested", [1]),
        ([[1], [2, 3]], "merge_nested", [[1], [2, 3]]),
        ([[1], [2, 3]], "merge_flattened", [1, 2, 3]),
        ([[1], 2], "merge_flattened", [1, 2]),
        ([[1], None], "merge_flattened", [1, None]),
        ([[[1]], [2]], "merge_flattened", [[1], 2]),
        ([[], []], "merge_flattened", []),
    ],
)
def test_merge(given: Sequence[Any], method: str | None, merged: Any) -> None:
    assert values.merge(given, method) == merged


@pytest.mark.parametrize(
    ("given", "method", "picked"),
    [
        ([None, 1], None, [None, 1]),
        ([None, 0, 1], "first_non_null", 0),
        ([None, False], "first_non_null", False),
        ([None, ""], "the_only_non_null", ""),
        ([None, 1, None, 2], "all_non_null", [1, 2]),
        ([None, None], "all_non_null", []),
        ("text", "first_non_null", "text"),
        (None, "first_non_null", None),
    ],
)
def test_pick(given: Any, method: str | None, picked: Any) -> None:
    assert values.pick(given, method) == picked


@pytest.mark.parametrize(
    ("given", "method"),
    [([None, None], "first_non_null"), ([], "the_only_non_null"), ([1, 2], "the_only_non_null")],
)
def test_pick_fails_when_there_is_nothing_to_pick(given: Any, method: str) -> None:
    with pytest.raises(TaskError, match=method):
        values.pick(given, method)


@pytest.mark.parametrize(
    ("sources", "method", "pick", "default", "folded"),
    [
        # One source passes through, whatever it is.
        ([Known(3)], None, None, None, Known(3)),
        ([HOLE], None, None, None, HOLE),
        ([Items((HOLE,))], None, None, None, Items((HOLE,))),
        # A default replaces null only, and only once it is known that the value is null.
        ([Known(None)], None, None, 7, Known(7)),
        ([Known(0)], None, None, 7, Known(0)),
        ([HOLE], None, None, 7, Linked((HOLE,), None, None, 7)),
        # The shape of a merge is known before its elements are.
        ([HOLE, Known(1)], "merge_nested", None, None, Items((HOLE, Known(1)))),
        ([Items((HOLE,)), Known([1, 2])], "merge_flattened", None, None, Items((HOLE, Known(1), Known(2)))),
        ([Items((HOLE,)), Known(1)], "merge_flattened", None, None, Items((HOLE, Known(1)))),
        # ... but not when a hole may be an array itself.
        ([HOLE, Known(1)], "merge_flattened", None, None, Linked((HOLE, Known(1)), "merge_flattened", None)),
        # A hole may turn out null: nothing is picked before it is known, not even a first that is known.
        (
            [HOLE, Known(1)],
            "merge_nested",
            "first_non_null",
            None,
            Linked((HOLE, Known(1)), "merge_nested", "first_non_null"),
        ),
        (
            [Known(None), Known(1)],
            "merge_nested",
            "first_non_null",
            None,
            Known(1),
        ),
        ([Known(None), Known(None)], "merge_nested", "all_non_null", 7, Known([])),
        # A failed source is not null: it blocks, also where another could have been picked.
        ([BROKEN, Known(1)], "merge_nested", "first_non_null", 7, BROKEN),
        ([BROKEN], None, None, 7, BROKEN),
        # ... but an array with a failed element still has its other elements.
        ([Items((BROKEN, HOLE))], None, None, [], Items((BROKEN, HOLE))),
        ([HOLE, Items((BROKEN,))], "merge_nested", None, None, Items((HOLE, Items((BROKEN,))))),
        ([Items((BROKEN, HOLE)), Known(1)], "merge_flattened", None, None, Items((BROKEN, HOLE, Known(1)))),
        ([Items((BROKEN,)), Known(1)], "merge_flattened", "all_non_null", None, BROKEN),
    ],
)
def test_fold_linked(sources: list[Value], method: str | None, pick: str | None, default: Any, folded: Value) -> None:
    assert values.fold_linked(Linked(tuple(sources), method, pick, default)) == folded


def test_a_pick_that_fails_breaks_the_value_and_does_not_raise() -> None:
    folded = values.fold_linked(Linked((Known(None),) * 2, "merge_nested", "first_non_null"))
    assert isinstance(folded, Broken)
    assert "first_non_null" in folded.reason


def test_simplify_fills_holes_at_any_depth_and_folds_what_became_known() -> None:
    value = Items((Linked((HOLE, OTHER), "merge_flattened", "all_non_null"), Known("x")))
    partly = values.simplify(value, fill(a=Known([1, None])))
    assert list(values.outputs_of(partly)) == [OTHER]
    assert values.simplify(partly, fill(b=Known(None))) == Known([[1], "x"])
    assert values.simplify(value, fill(a=Known([1, None]), b=Known(2))) == Known([[1, 2], "x"])


def test_simplify_without_news_changes_nothing() -> None:
    value = Items((Linked((HOLE,), None, None, 5), Known(1)))
    assert values.simplify(value, lambda output: output) == value


def test_a_lookup_may_fill_a_hole_with_an_array_of_holes() -> None:
    filled = values.simplify(Linked((HOLE,), None, None), fill(a=Items((OTHER, Known(1)))))
    assert filled == Items((OTHER, Known(1)))


def test_broken_is_found_inside() -> None:
    value = Items((Known(1), Linked((HOLE, Items((BROKEN,))), "merge_nested", None)))
    assert values.broken_of(value) == BROKEN
    assert values.broken_of(Items((HOLE,))) is None
    with pytest.raises(TaskError, match="exit code 1"):
        values.known(value)


def test_known_names_the_holes() -> None:
    assert values.known(Known(None)) is None
    with pytest.raises(PendingValueError, match=r"001-a\[0\]/out, 002-b\[0\]/out"):
        values.known(Items((HOLE, OTHER)))


def test_fold_items_of_nothing_is_an_empty_array() -> None:
    assert values.fold_items([]) == Known([])


def test_elements() -> None:
    assert values.elements(Known([1, None]), "") == (Known(1), Known(None))
    assert values.elements(Known([]), "") == ()
    assert values.elements(Items((HOLE, BROKEN)), "") == (HOLE, BROKEN)
    assert values.elements(HOLE, "") is None


@pytest.mark.parametrize("value", ["text", 3, {"a": 1}, None])
def test_elements_of_no_array(value: Any) -> None:
    with pytest.raises(DocumentError, match=r"step s, input i: scatter needs an array, got "):
        values.elements(Known(value), "step s, input i")


@pytest.mark.parametrize(
    "value",
    [
        Known(None),
        Known({"class": "File", "location": "outputs/ä %\n"}),
        # User data that looks like our own notation stays user data.
        Known({"output": ["x", "0", "y"], "known": 1}),
        HOLE,
        BROKEN,
        Items((HOLE, Items(()), Known([1]))),
        Linked((HOLE, BROKEN), "merge_flattened", "first_non_null", [1]),
        Linked((), None, None, None),
    ],
)
def test_values_come_back_from_json(value: Value) -> None:
    assert values.from_json(json.loads(json.dumps(values.to_json(value, lambda _: 3)))) == value

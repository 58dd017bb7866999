"""A value fits an annotation exactly when Python's typing would accept it, and unknown types accept everything."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewright.config.annotations import describe, fits, literals
from tradewright.config.source import Module

ALIASES = ast.parse(
    "from typing import Literal, Optional, Union\n"
    "Word = Literal['a', 'b']\nNumber = float\nNames = list[str]\nDeep = Optional[Word]\nArray = npt.NDArray[float]\n"
)
MODULE = Module(
    name="sample",
    names={
        **{alias.name: ("typing", alias.name) for alias in ALIASES.body[0].names},
        **{node.targets[0].id: node.value for node in ALIASES.body[1:]},
    },
)


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("annotation", "accepted", "refused"),
    [
        ("int", [1, -1], [1.0, True, "1", None, [1], {"a": 1}]),
        ("float", [1, 1.5], [True, "1", None, [1.0]]),
        ("bool", [True], [1, "true", None]),
        ("str", ["", "a"], [1, None, ["a"]]),
        ("None", [None], [0, ""]),
        ("int | None", [1, None], ["a", 1.0]),
        ("Optional[int]", [1, None], ["a"]),
        ("Union[int, str]", [1, "a"], [1.5, None]),
        ("typing.Optional[int]", [1, None], ["a"]),
        ("list", [[], [1, "a"]], ["a", {"a": 1}, None]),
        ("list[int]", [[], [1]], [["a"], [1, None], "a", 1]),
        ("Sequence[str]", [["a"]], ["a", [1]]),
        ("Iterable[float]", [[1, 2.5]], [["a"], 1.0]),
        ("set[int]", [[1]], [["a"]]),
        ("tuple[int, str]", [[1, "a"]], [[1], ["a", 1], [1, "a", 2], 1]),
        ("tuple[int, ...]", [[], [1, 2]], [["a"]]),
        ("tuple", [[1, "a"]], ["ab"]),
        ("dict", [{}, {"a": 1}], [[], "a"]),
        ("dict[str, int]", [{"a": 1}], [{"a": "b"}, []]),
        ("Mapping[str, list[int]]", [{"a": [1]}], [{"a": 1}]),
        ("Literal['a', 'b']", ["a"], ["c", 1, None]),
        ("Literal[1, True]", [1, True], [2, False, "1"]),
        ("Literal['a'] | list[str]", ["a", ["z"]], ["z", 1]),
        ("Annotated[int, 'unit']", [1], ["a"]),
        ("Runtime[int]", [1], ["a"]),
        ("'int | None'", [1, None], ["a"]),
        ("list['int']", [[1]], [["a"]]),
        ("Word", ["a"], ["z"]),
        ("Deep", ["a", None], ["z"]),
        ("Number", [1.5], ["z"]),
        ("Names", [["a"]], ["a"]),
        ("Array", [1, "a", None], []),
        ("Any", [1, "a", None, [1]], []),
        ("torch.Tensor", [1, "a", None], []),
        ("Callable[[int], str]", [1, "a"], []),
        ("type[int]", ["a"], []),
        ("Literal[SOME_CONSTANT]", ["a", 1], []),
    ],
)
def test_values_fit_as_the_annotation_says(annotation: str, accepted: list[object], refused: list[object]) -> None:
    parsed = expression(annotation)
    assert [value for value in accepted if not fits(parsed, value, MODULE)] == []
    assert [value for value in refused if fits(parsed, value, MODULE)] == []


@pytest.mark.parametrize(
    "annotation", ["Any", "Costs", "list[Costs]", "Costs | None", "Sequence[Any]", "dict[str, Any]"]
)
def test_node_to_be_built_fits_every_annotation_but_scalars(annotation: str) -> None:
    assert fits(expression(annotation), {"_target_": "a.B"}, MODULE)
    assert not fits(expression("int"), {"_target_": "a.B"}, MODULE)
    assert not fits(expression("str | None"), {"_target_": "a.B"}, MODULE)


def test_scalar_does_not_fit_a_class_of_ours_but_fits_protocols_and_foreign_classes() -> None:
    module = Module(
        name="tradewright.sample",
        names={
            "Costs": ("tradewright.market.rules", "Costs"),
            "Strategy": ("tradewright.strategy.strategy", "Strategy"),
            "Reason": ("tradewright.market.rules", "Reason"),
            "Path": ("pathlib", "Path"),
        },
    )
    assert not fits(expression("Costs"), 5, module)
    assert not fits(expression("Costs | None"), "a", module)
    assert fits(expression("Costs"), {"fee_bps": 1}, module)
    for name in ("Strategy", "Reason", "Path"):
        assert fits(expression(name), 5, module)


def test_description_spells_aliases_and_words_out() -> None:
    assert describe(expression("Word"), MODULE) == "'a' or 'b'"
    assert describe(expression("Optional[int]"), MODULE) == "int | None"
    assert describe(expression("Annotated[int, 3]"), MODULE) == "int"
    assert describe(expression("list[str]"), MODULE) == "list[str]"
    assert literals(expression("Deep"), MODULE) == ["a", "b"]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(value=PLAIN)
def test_union_with_unknown_type_accepts_every_value(value: object) -> None:
    assert fits(expression("int | Unknown"), value, MODULE)


@given(value=PLAIN)
def test_optional_adds_exactly_none(value: object) -> None:
    for annotation in ("int", "list[int]", "dict[str, float]", "Literal['a']"):
        plain = fits(expression(annotation), value, MODULE)
        assert fits(expression(f"{annotation} | None"), value, MODULE) == (plain or value is None)

"""Reasoning and answer come apart the same way from a whole text and from any pieces of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.generate.reasoning import Splitter, split_reasoning


@pytest.mark.row("N54")
@pytest.mark.parametrize(
    ("text", "is_open", "expected"),
    [
        ("<think>\nhm\n</think>\n\nBUY", False, ("hm", "BUY")),
        ("  <think>hm</think>BUY ", False, ("hm", "BUY ")),
        ("BUY", False, ("", "BUY")),
        ("BUY <think>late</think>", False, ("", "BUY <think>late</think>")),
        ("<thin", False, ("", "<thin")),
        ("<think>never done", False, ("never done", "")),
        ("hm</think>SELL", True, ("hm", "SELL")),
        ("hm</think>SELL", False, ("", "hm</think>SELL")),
        ("never done", True, ("never done", "")),
        ("<think></think>", False, ("", "")),
        ("<think>a</think>b</think>c", False, ("a", "b</think>c")),
        ("", False, ("", "")),
    ],
)
def test_reasoning_is_split_from_the_answer(text, is_open, expected):
    assert split_reasoning(text, is_open=is_open) == expected


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", "/", " ", "\n", "BUY", "a"]), max_size=12)


@given(PIECES, st.booleans())
@settings(max_examples=150, deadline=None)
def test_pieces_give_what_the_whole_text_gives(pieces, is_open):
    splitter = Splitter(is_open=is_open)
    answer = "".join([splitter.next(piece) for piece in pieces]) + splitter.end()
    assert (splitter.reasoning, answer) == split_reasoning("".join(pieces), is_open=is_open)

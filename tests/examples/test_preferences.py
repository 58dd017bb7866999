"""Pairs of answers: every form of row, parts, errors by file and row; pairs by people and by the fact check."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tradewright.errors import DataError
from tradewright.examples.example import Example, Preference
from tradewright.examples.json import sets_of
from tradewright.examples.pairing import Answer, edited_pairs, example_of, ranked_pairs, rated_pairs
from tradewright.examples.preferences import Preferences
from tradewright.examples.rows import read_rows, to_row, write_rows

QUESTION = [{"role": "user", "content": "Up?"}]
FORMS: list[dict[str, Any]] = [
    {"prompt": "Up?", "chosen": "Yes.", "rejected": "No."},
    {
        "prompt": QUESTION,
        "chosen": [{"role": "assistant", "content": "Yes."}],
        "rejected": [{"role": "assistant", "content": "No."}],
    },
    {
        "chosen": [*QUESTION, {"role": "assistant", "content": "Yes."}],
        "rejected": [*QUESTION, {"role": "assistant", "content": "No."}],
        "source": "rating",
    },
]


def written(folder: Path, rows: list[Any], name: str = "pairs.jsonl") -> str:
    path = folder / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.row("T46")
@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.json"])
def test_every_form_of_row_becomes_the_same_pair(name: str, tmp_path: Path) -> None:
    sets = Preferences(path=written(tmp_path, FORMS * 5, name), train=0.6, validation=0.2).read()
    assert (len(sets.train), len(sets.validation), len(sets.test)) == (9, 3, 3)
    for one in sets.train:
        assert isinstance(one, Preference)
        assert one.prompt == ({"role": "user", "content": "Up?"},)
        assert (one.completion, one.rejected) == ("Yes.", "No.")
    assert [one.source for one in sets.train[:3] if isinstance(one, Preference)] == ["file", "file", "rating"]


def test_parquet_gives_what_json_gives(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "prompt": f"{n}?", "chosen": "Yes.", "rejected": "No.", "known_at": f"2020-01-{n + 1:02d}"}
        for n in range(10)
    ]
    source = written(tmp_path, rows)
    target = tmp_path / "pairs.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_json('{source}')) TO '{target}' (FORMAT parquet)")
    one, two = (Preferences(path=path, name="same").read() for path in (source, str(target)))
    assert (one.train, one.validation, one.test) == (two.train, two.validation, two.test)
    assert one.fingerprint == two.fingerprint
    assert one.train[0].known_at is not None


def test_conversations_come_from_parquet_too(tmp_path: Path) -> None:
    source = written(tmp_path, FORMS[1:2] * 4)
    target = tmp_path / "pairs.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_json('{source}')) TO '{target}' (FORMAT parquet)")
    first = Preferences(path=str(target), train=0.5, validation=0.25).read().train[0]
    assert isinstance(first, Preference)
    assert (first.prompt[0]["content"], first.completion, first.rejected) == ("Up?", "Yes.", "No.")


def test_what_is_written_is_read_back_equal_and_test_rows_may_have_one_answer(tmp_path: Path) -> None:
    pairs = [
        Preference(
            id=f"p{n}", prompt=({"role": "user", "content": "Up?"},), completion="a", rejected="b", source="edit"
        )
        for n in range(4)
    ]
    judged = Example(id="t", prompt=({"role": "user", "content": "Up?"},), completion="a", facts={"n": 1})
    rows = [to_row(one, "train" if n < 3 else "validation") for n, one in enumerate(pairs)]
    write_rows(tmp_path / "pairs.json", [*rows, to_row(judged, "test")])
    sets = Preferences(path=str(tmp_path / "pairs.json")).read()
    assert (*sets.train, *sets.validation) == tuple(pairs)
    assert sets.test == (judged,)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "chosen": "b"}, "row 1: no rejected; a pair has a chosen and a rejected answer"),
        ({"prompt": "a", "chosen": "b", "rejected": " b"}, "row 1: chosen and rejected are the same text"),
        ({"prompt": "a", "chosen": "b", "rejected": " "}, "row 1: rejected is empty"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "row 1: prompt is empty"),
        ({"prompt": "a", "completion": "b"}, "row 1: expected prompt, chosen and rejected, found keys prompt, compl"),
        ({"prompt": "a", "chosen": "b", "reject": "c"}, "row 1: unknown key 'reject'; did you mean 'rejected'"),
        ({"chosen": "b", "rejected": "c"}, "row 1: no prompt; without one, chosen must be a whole conversation"),
        ({"prompt": "a", "chosen": QUESTION, "rejected": "c"}, "row 1: chosen must be a text or one message of the as"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "known_at": 7}, "row 1: known_at must be an ISO date"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "split": "dev"}, "row 1: split must be one of train"),
        ("text", "row 1: expected prompt, chosen and rejected, found str"),
        (
            {
                "chosen": [*QUESTION, {"role": "assistant", "content": "b"}],
                "rejected": [{"role": "user", "content": "Down?"}, {"role": "assistant", "content": "c"}],
            },
            "row 1: chosen and rejected answer different conversations",
        ),
    ],
)
def test_malformed_rows_are_named_by_file_and_row(row: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Preferences(path=written(tmp_path, [row])).read()
    assert str(caught.value).startswith("pairs.jsonl")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "pairs.parquet").write_text("no")
    with pytest.raises(DataError, match=r"pairs.parquet: cut off or no Parquet file"):
        Preferences(path=str(tmp_path / "pairs.parquet")).read()


def example(name: str) -> Example:
    return Example(id=name, prompt=({"role": "user", "content": f"{name}?"},), completion="as generated")


def answers_of(name: str, *graded: tuple[str, float]) -> list[Answer]:
    return [
        Answer(id=f"{name}~{n}", example=example(name), text=text, grade=grade)
        for n, (text, grade) in enumerate(graded, start=1)
    ]


def test_the_fact_check_pairs_best_and_worst_where_they_differ_enough() -> None:
    answers = [
        *answers_of("a", ("good", 4.0), ("bad", 2.0), ("fair", 3.0)),
        *answers_of("b", ("one", 3.0), ("two", 3.0)),
        *answers_of("c", ("one", 3.2), ("two", 3.0)),
        *answers_of("d", ("one", float("nan")), ("two", float("nan"))),
    ]
    (pair,) = ranked_pairs(answers, min_gap=0.25)
    assert (pair.completion, pair.rejected, pair.source, example_of(pair)) == ("good", "bad", "check", "a")
    assert [example_of(one) for one in ranked_pairs(answers, min_gap=0.0)] == ["a", "c"]


def test_people_rank_what_they_rated_against_the_check() -> None:
    answers = answers_of("a", ("good", 4.0), ("bad", 2.0), ("unread", 1.0))
    (pair,) = rated_pairs(answers, {"a~1": 2.0, "a~2": 4.5})
    assert (pair.completion, pair.rejected, pair.source) == ("bad", "good", "rating")
    assert rated_pairs(answers, {"a~1": 3.0}) == []


def edits(folder: Path, *rows: tuple[str | None, str]) -> list[Any]:
    made = [{"prompt": "a?", "completion": text} | ({} if name is None else {"id": name}) for name, text in rows]
    return read_rows(Path(written(folder, made, "edits.jsonl")))


TEXTS = {"a": (example("a"), "as generated"), "a~1": (example("a"), "as drawn")}


def test_an_edit_is_preferred_to_the_text_that_it_corrects(tmp_path: Path) -> None:
    found = edited_pairs(edits(tmp_path, ("a", "right"), ("a~1", "better")), TEXTS, ["t"])
    assert [(one.completion, one.rejected, one.source) for one in found] == [
        ("right", "as generated", "edit"), ("better", "as drawn", "edit"),
    ]  # fmt: skip
    assert {example_of(one) for one in found} == {"a"}
    sets_of({"train": list(found), "validation": [], "test": []}, name="ids are distinct")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("t", "x")], "row 1: t belongs to the test part, which nothing is trained on"),
        ([(None, "x")], "row 1: an edit needs the id of the text that it corrects"),
        ([("z", "x")], "row 1: an edit needs the id of the text that it corrects, was 'z'"),
        ([("a", "x"), ("a", "y")], "row 2: a was edited before"),
        ([("a", "as generated ")], "row 1: a: the edit changes nothing"),
    ],
)
def test_edits_that_cannot_be_used_are_named(rows: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        edited_pairs(edits(tmp_path, *rows), TEXTS, ["t"])

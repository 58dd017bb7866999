"""Examples of one's own from JSON and JSONL: forms of rows, cuts by name, time or order; errors by file and row."""

import json
from pathlib import Path

import pytest

from tradewright.errors import DataError
from tradewright.examples.json import JsonExamples


def written(folder: Path, rows: list, name: str = "pairs.jsonl") -> str:
    path = folder / name
    text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text)
    return str(path)


FORMS = [
    {"prompt": "Say A.", "completion": "A"},
    {"instruction": "Say", "input": "B", "output": "B"},
    {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "C?"},
            {"role": "assistant", "content": "C"},
        ]
    },
    {
        "prompt": [{"role": "user", "content": "D?"}],
        "completion": "D",
        "kind": "letter",
        "label": "D",
        "facts": {"n": 4},
    },
]


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.json"])
def test_every_form_of_row_becomes_an_example(tmp_path: Path, name: str) -> None:
    sets = JsonExamples(path=written(tmp_path, FORMS * 5, name), train=0.6, validation=0.2).read()
    assert (len(sets.train), len(sets.validation), len(sets.test)) == (12, 4, 4)
    first = sets.train[:4]
    assert [example.completion for example in first] == ["A", "B", "C", "D"]
    assert first[1].prompt == ({"role": "user", "content": "Say\n\nB"},)
    assert [message["role"] for message in first[2].prompt] == ["system", "user"]
    assert (first[3].kind, first[3].label, first[3].facts) == ("letter", "D", {"n": 4})
    assert first[0].id == "pairs-1"


def test_rows_with_time_are_cut_by_it_and_equal_times_stay_together(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "completion": "c", "when": f"2020-01-{1 + n // 3:02d}", "id": str(n)} for n in range(30)]
    sets = JsonExamples(path=written(tmp_path, rows[::-1]), time_column="when", train=0.5, validation=0.25).read()
    assert len(sets.train) == 15
    assert max(e.known_at for e in sets.train) < min(e.known_at for e in sets.validation)
    assert max(e.known_at for e in sets.validation) < min(e.known_at for e in sets.test)


def test_named_splits_are_kept_over_several_files(tmp_path: Path) -> None:
    first = written(tmp_path, [{"prompt": "p", "completion": "c", "split": "train"}], "a.jsonl")
    second = written(tmp_path, [{"prompt": "p", "completion": "c", "split": "test"}], "b.jsonl")
    sets = JsonExamples(path=[first, second]).read()
    assert ([e.id for e in sets.train], [e.id for e in sets.test]) == (["a-1"], ["b-1"])


GOOD = {"prompt": "p", "completion": "c"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GOOD, {"prompt": "p"}], "pairs.jsonl row 2: expected exactly one of completion and output, found none"),
        ([{"completion": "c"}], "row 1: expected exactly one of prompt, instruction and messages, found none"),
        ([{**GOOD, "instruction": "i"}], "found prompt and instruction"),
        ([{**GOOD, "completion": "  "}], "row 1: the answer is empty"),
        ([{**GOOD, "promt": "x"}], "row 1: unknown key 'promt'; did you mean 'prompt'"),
        ([{**GOOD, "known_at": "yesterday"}], "row 1: known_at must be an ISO date"),
        ([{**GOOD, "known_at": "2020-01-01"}, GOOD], "row 2: no known_at, but pairs.jsonl row 1 has one"),
        ([{**GOOD, "split": "eval"}], "row 1: split must be one of train, validation, test, was 'eval'"),
        ([{**GOOD, "split": "train"}, GOOD], "row 2: no split"),
        ([{"messages": [{"role": "user", "content": "x"}]}], "row 1: messages must end with one of the assistant"),
        ([{"messages": [{"role": "bot", "content": "x"}]}], "row 1: role must be one of"),
        (["text"], "row 1: expected an object, was str"),
        ([{**GOOD, "id": "a"}, {**GOOD, "id": "a"}], "id 'a' occurs twice"),
        ([], "holds no example"),
    ],
)
def test_faulty_row_is_refused_by_file_and_row(tmp_path: Path, rows: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        JsonExamples(path=written(tmp_path, rows)).read()


def test_broken_json_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('[\n{"prompt": "p",\n]')
    with pytest.raises(DataError, match=r"x\.json line 3: not valid JSON"):
        JsonExamples(path=str(tmp_path / "x.json")).read()
    with pytest.raises(DataError, match="no such file"):
        JsonExamples(path=str(tmp_path / "absent.json")).read()

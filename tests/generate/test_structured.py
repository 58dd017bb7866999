"""JSON by grammar is valid JSON of its schema, as an independent validator says; what is cut off is an error."""

import json

import jsonschema_rs
import pytest

from tiny_writers import ARCHITECTURES, PROMPTS, ask, tiny_writer
from tradewright.errors import ConfigError
from tradewright.generate.decoding import Decoding
from tradewright.generate.structured import JsonCompiler, read_json_answer, write_json
from tradewright.generate.writer import Writer
from tradewright.generate.written import Written

DECISION = {
    "type": "object",
    "properties": {
        "action": {"enum": ["BUY", "SELL", "HOLD"]},
        "size": {"enum": [0.05, 0.08]},
        "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
        "reason": {"type": "string", "pattern": "^[a-z ]{1,12}$"},
    },
    "required": ["action", "size", "confidence", "reason"],
    "additionalProperties": False,
}
SAMPLED = Decoding(max_new_tokens=120, temperature=1.0, seed=5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_twenty_of_twenty_answers_follow_the_schema(architecture):
    prompts = [ask(f"Decide on bar {number}.") for number in range(20)]
    answers = write_json(Writer(tiny_writer(architecture), SAMPLED), prompts, DECISION)
    validator = jsonschema_rs.validator_for(DECISION)
    assert answers.num_invalid == 0
    for answer in answers.answers:
        assert answer.written.finish == "stop"
        assert validator.is_valid(json.loads(answer.written.text))
        assert answer.value == json.loads(answer.written.text)
    assert len({answer.written.text for answer in answers.answers}) > 10


def test_without_the_grammar_the_same_model_writes_no_json():
    """Else the test above would prove nothing."""
    written = Writer(tiny_writer(), SAMPLED.changed(max_new_tokens=20)).write(PROMPTS)
    assert all(not read_json_answer(one).is_valid for one in written)


def test_answer_that_is_cut_off_is_an_error_and_counted():
    writer = Writer(tiny_writer(), SAMPLED.changed(max_new_tokens=6))
    answers = write_json(writer, PROMPTS, DECISION)
    assert answers.num_invalid == len(PROMPTS)
    for answer in answers.answers:
        assert answer.value is None
        assert answer.error.startswith("cut off after 6 tokens: not JSON: ")


def test_grammar_and_batches_go_together():
    writer, single = Writer(tiny_writer(), SAMPLED), Writer(tiny_writer(), SAMPLED, batch_size=1)
    together = write_json(writer, PROMPTS, DECISION)
    assert [one.value for one in together.answers] == [
        one.value for one in write_json(single, PROMPTS, DECISION).answers
    ]


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "#/nowhere"}])
def test_schema_that_is_none_is_refused_in_one_line(schema):
    with pytest.raises(ConfigError, match=r"^schema: cannot be made into a grammar \("):
        JsonCompiler(tiny_writer()).compile(schema)


def test_null_is_a_value_and_no_error():
    written = Written(text="null", num_tokens=2, finish="stop", log_probability=0.0)
    assert read_json_answer(written).is_valid
    assert not read_json_answer(Written(text="", num_tokens=1, finish="stop", log_probability=0.0)).is_valid

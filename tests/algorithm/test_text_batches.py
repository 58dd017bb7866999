"""Examples become windows and micro-batches: nothing too long, nothing lost, the same order after a resume."""

import random
from itertools import islice

import pytest
import torch
from text_cases import example_of, sets_of, tokenizer_of

from tradewright.algorithm.text_batches import FixedWindows, Layout, TrainingWindows
from tradewright.algorithm.text_examples import TokenExample, tokenise
from tradewright.errors import DataError
from tradewright.model.chat import encode_example


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return tokenizer_of()


def examples_of(num: int, seed: int = 0) -> list[TokenExample]:
    rng = random.Random(seed)
    made = []
    for number in range(num):
        length = rng.randint(2, 40)
        made.append(TokenExample(torch.full((length,), number), rng.randint(1, length - 1)))
    return made


def numbers_of(windows: list[tuple[TokenExample, ...]]) -> list[list[int]]:
    return [[int(one.ids_L[0]) for one in window] for window in windows]


@pytest.mark.row("L2")
def test_no_example_exceeds_the_limit_and_the_dropped_are_counted(tokenizer: object) -> None:
    examples = sets_of(30).train
    lengths = [len(encode_example(tokenizer, one.prompt, one.completion).ids) for one in examples]
    limit = sorted(lengths)[20]
    kept, report = tokenise(examples, tokenizer=tokenizer, max_length=limit)
    assert max(map(len, kept)) == limit == report.longest == report.limit
    assert [len(one) for one in kept] == [length for length in lengths if length <= limit]
    assert (report.num_examples, report.num_truncated) == (30, 0)
    assert report.num_dropped == sum(length > limit for length in lengths) == 30 - report.num_kept
    assert report.num_tokens == sum(map(len, kept))
    assert report.num_targets == sum(len(one) - one.num_prompt for one in kept)


@pytest.mark.row("L2")
def test_packs_stay_below_their_budget_and_hold_every_example_once() -> None:
    examples = examples_of(50)
    packs = Layout(pad_id=0, batch_size=8, tokens=60).split(examples)
    assert max(sum(map(len, pack)) for pack in packs) <= 60
    assert sorted(number for pack in numbers_of(packs) for number in pack) == list(range(50))
    assert len(packs) <= 1.25 * sum(map(len, examples)) / 60


@pytest.mark.row("L2")
def test_truncated_prompt_loses_its_middle_and_keeps_its_answer(tokenizer: object) -> None:
    example = example_of(0, num_prompt=20, num_answer=3)
    whole = encode_example(tokenizer, example.prompt, example.completion)
    limit = len(whole.ids) - 7
    (cut,), report = tokenise([example], tokenizer=tokenizer, max_length=limit, overlong="truncate_prompt")
    assert len(cut) == limit
    assert (report.num_dropped, report.num_truncated) == (0, 1)
    assert cut.ids_L[cut.num_prompt :].tolist() == whole.ids[whole.num_prompt :]
    half = cut.num_prompt // 2
    assert cut.ids_L[:half].tolist() == whole.ids[:half]
    assert (
        cut.ids_L[half : cut.num_prompt].tolist()
        == whole.ids[whole.num_prompt - (cut.num_prompt - half) :][: cut.num_prompt - half]
    )


def test_answer_that_leaves_no_room_for_its_prompt_is_dropped_even_when_prompts_may_be_truncated(
    tokenizer: object,
) -> None:
    short, long = example_of(0, num_prompt=2, num_answer=1), example_of(1, num_prompt=3, num_answer=60)
    limit = len(encode_example(tokenizer, short.prompt, short.completion).ids)
    kept, report = tokenise([short, long], tokenizer=tokenizer, max_length=limit, overlong="truncate_prompt")
    assert (len(kept), report.num_dropped, report.num_truncated) == (1, 1, 0)


def test_overlong_example_can_be_an_error_that_names_it(tokenizer: object) -> None:
    example = example_of(7, num_prompt=5, num_answer=5)
    with pytest.raises(DataError, match=r"train example 'e7' has \d+ tokens, at most 10 fit; raise model.max_length"):
        tokenise([example], tokenizer=tokenizer, max_length=10, overlong="error")


@pytest.mark.parametrize("num", [0, 3])
def test_set_of_which_nothing_is_left_is_refused(num: int, tokenizer: object) -> None:
    examples = sets_of(num).train
    with pytest.raises(DataError, match="there is no validation example to use"):
        tokenise(examples, tokenizer=tokenizer, max_length=4, name="validation")


def test_every_example_has_targets_and_the_last_one_ends_it(tokenizer: object) -> None:
    kept, _ = tokenise(sets_of(20).train, tokenizer=tokenizer, max_length=1000)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    for one in kept:
        assert one.num_targets >= 2
        assert int(one.ids_L[-1]) == tokenizer.eos_token_id


def test_prompts_can_be_learnt_too(tokenizer: object) -> None:
    kept, _ = tokenise(sets_of(3).train, tokenizer=tokenizer, max_length=1000, train_on_prompt=True)
    assert [one.num_targets for one in kept] == [len(one) - 1 for one in kept]


@pytest.mark.parametrize("tokens", [None, 60])
def test_every_target_is_predicted_from_the_position_before_it(tokens: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    examples = [TokenExample(torch.randint(0, 99, (n,), generator=generator), k) for n, k in ((9, 4), (5, 1), (7, 6))]
    batch = Layout(pad_id=0, batch_size=8, tokens=tokens).lay_out(examples)
    flat = batch.inputs["input_ids"].flatten()
    assert torch.equal(flat[batch.rows_K + 1], batch.targets_K)
    assert batch.targets_K.tolist() == [token for one in examples for token in one.ids_L[one.num_prompt :].tolist()]
    assert (batch.num_tokens, batch.num_targets, batch.num_examples) == (21, 10, 3)
    assert batch.num_computed == (21 if tokens else 27)


@pytest.mark.parametrize("bucket_windows", [1, 3])
def test_an_epoch_gives_every_example_once_in_an_order_of_seed_and_epoch(bucket_windows: int) -> None:
    examples = examples_of(23)

    def epochs(seed: int) -> list[list[list[int]]]:
        windows = TrainingWindows(examples, window_size=4, bucket_windows=bucket_windows, seed=seed)
        endless = iter(windows)
        return [numbers_of(list(islice(endless, len(windows)))) for _ in range(3)]

    first = epochs(seed=0)
    assert first == epochs(seed=0)
    assert first != epochs(seed=1)
    assert first[0] != first[1]
    for epoch in first:
        assert sorted(map(len, epoch)) == [3, 4, 4, 4, 4, 4]
        assert sorted(number for window in epoch for number in window) == list(range(23))


@pytest.mark.parametrize("num_before", [0, 1, 4, 6, 7, 12])
def test_restored_windows_continue_where_they_stood(num_before: int) -> None:
    examples = examples_of(23)
    windows = TrainingWindows(examples, window_size=4, bucket_windows=2, seed=5)
    endless = iter(windows)
    list(islice(endless, num_before))
    state = windows.state_dict()
    expected = numbers_of(list(islice(endless, 15)))
    restored = TrainingWindows(examples, window_size=4, bucket_windows=2, seed=5)
    restored.load_state_dict(state)
    assert numbers_of(list(islice(iter(restored), 15))) == expected


def test_buckets_pad_less() -> None:
    examples = examples_of(400)

    def padded(bucket_windows: int) -> int:
        windows = TrainingWindows(examples, window_size=8, bucket_windows=bucket_windows, seed=0)
        return sum(max(map(len, window)) * len(window) for window in islice(iter(windows), len(windows)))

    assert padded(10) < 0.7 * padded(1)


def test_halved_layout_makes_twice_the_micro_batches_of_the_same_window() -> None:
    window = examples_of(8)
    layout = Layout(pad_id=0, batch_size=8)
    sizes = []
    while layout is not None:
        sizes.append(len(layout.split(window)))
        layout = layout.halved(window)
    assert sizes == [1, 2, 4, 8]
    layout, num_packs = Layout(pad_id=0, batch_size=8, tokens=4096), []
    while layout is not None:
        parts = layout.split(window)
        assert sorted(n for part in numbers_of(parts) for n in part) == list(range(8))
        num_packs.append(len(parts))
        layout = layout.halved(window)
    assert num_packs[0] == 1
    assert num_packs[-1] == 8
    assert num_packs == sorted(set(num_packs))


def test_validation_windows_hold_every_example_and_are_always_the_same() -> None:
    windows = FixedWindows(examples_of(10), window_size=4)
    assert numbers_of(list(windows)) == numbers_of(list(windows))
    assert sorted(n for window in numbers_of(list(windows)) for n in window) == list(range(10))
    assert len(windows) == 3

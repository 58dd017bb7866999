"""A preference training that was killed goes on to the bit, held to the reference that it began with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pair_cases import dpo_of, pairs_of
from test_sft_resume import assert_same, load_adapted, tiny_folder, trained
from text_cases import model_of, tokenizer_of

from tradewright.algorithm.dpo import DPO
from tradewright.errors import RunError

EPOCHS = 3


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokenizer_of()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def whole(tokenizer: Any, *, seed: int = 0, num: int = 14, **options: Any) -> DPO:
    model = model_of("gpt2", vocabulary=len(tokenizer), dropout=0.1, seed=seed)
    return dpo_of(model, tokenizer, pairs_of(num), epochs=EPOCHS, log_every=3, **options)


@pytest.mark.row("T46")
@pytest.mark.parametrize(("packing", "kill"), [(True, 5), (False, 8)])
def test_resumed_training_equals_the_one_that_was_not_killed(
    packing: bool, kill: int, tokenizer: Any, tmp_path: Path
) -> None:
    expected = trained(whole(tokenizer, packing=packing), tmp_path / "whole")
    trained(whole(tokenizer, packing=packing), tmp_path / "killed", kill=kill)
    assert_same(trained(whole(tokenizer, packing=packing), tmp_path / "killed", resume=True), expected)


@pytest.mark.parametrize("quant", ["none", "nf4"])
def test_adapter_training_is_resumed_to_the_bit_from_the_adapter_and_the_reference_alone(
    quant: str, tmp_path: Path
) -> None:
    folder = tiny_folder(tmp_path / "model")

    def module() -> DPO:
        return DPO(loaded=load_adapted(folder, quant), sets=pairs_of(14), seed=0, epochs=EPOCHS, batch_size=4, lr=1e-2)

    expected = trained(module(), tmp_path / "whole")
    trained(module(), tmp_path / "killed", kill=6)
    assert_same(trained(module(), tmp_path / "killed", resume=True), expected)
    saved = torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)
    assert all("lora_" in name for name in saved["state_dict"])
    assert saved["dpo"]["reference"].shape == (17, 2)


@pytest.mark.parametrize("change", ["base", "pairs"])
def test_checkpoint_of_another_start_is_refused(change: str, tokenizer: Any, tmp_path: Path) -> None:
    """All weights are trained, so nothing frozen tells one base from another; the reference does."""
    trained(whole(tokenizer), tmp_path, max_epochs=1)
    other, message = {
        "base": (whole(tokenizer, seed=1), "the checkpoint's reference is another one"),
        "pairs": (whole(tokenizer, num=15), "the checkpoint was trained on 17 pairs, now there are 18"),
    }[change]
    with pytest.raises(RunError, match=message):
        trained(other, tmp_path, resume=True)

"""The losses of tasks, on batches as training has them, beside those of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForPreTraining, T5Config, T5ForConditionalGeneration

from byteloom.data.masking import Frame, MaskedBatches, Masker
from byteloom.data.pairs import Pairs, Singles
from byteloom.data.span_corruption import SpanBatches
from byteloom.export import bert, t5
from byteloom.nn.loss import IGNORED
from byteloom.training.tasks.masked import MaskedObjective
from byteloom.training.tasks.spans import SpansObjective

END, PAD, CLS, SEP, MASK = 40, 41, 42, 43, 44


def text() -> np.ndarray:
    """Documents of 3 to 30 ids."""
    chance = np.random.default_rng(0)
    sizes = chance.integers(3, 30, 40)
    return np.concatenate([[*chance.integers(0, 40, size), END] for size in sizes]).astype("u2")


def masked_batches(source: Any) -> MaskedBatches:
    masker = Masker(45, [END, PAD, CLS, SEP, MASK], MASK)
    return MaskedBatches([source], 6, 20, 0, masker, Frame(CLS, SEP, PAD))


def test_the_masked_loss_is_berts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    peer = BertForPreTraining(
        BertConfig(
            vocab_size=45,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=20,
            attn_implementation="eager",
        )
    ).eval()
    peer.save_pretrained(tmp_path)
    objective = MaskedObjective(bert.read(tmp_path), PAD)
    batches = masked_batches(Pairs(text(), 17, 0, END))
    for step in range(5):
        ids, types, labels, targets = batches.batch_at(step)
        assert (ids == PAD).any() and set(labels.tolist()) == {0, 1}
        wanted = peer(
            input_ids=ids,
            token_type_ids=types,
            attention_mask=(ids != PAD).long(),
            labels=targets,
            next_sentence_label=labels,
        ).loss
        sums = objective(ids, types, labels, targets)
        assert sums.tokens == (targets != IGNORED).sum()
        torch.testing.assert_close(sums.objective / sums.tokens, wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(sums.nats, sums.objective.detach())


def test_without_pairs_it_is_that_of_the_tokens_alone(tmp_path: Path) -> None:
    from byteloom.models import EncoderConfig

    sizes = {"vocab_size": 45, "context_length": 20, "d_model": 16, "num_layers": 1, "num_heads": 2}
    model = EncoderConfig(**sizes, next_sentence=False).build(seed=0).eval()
    ids, types, labels, targets = masked_batches(Singles(text(), 18, 0)).batch_at(0)
    sums = MaskedObjective(model, PAD)(ids, types, labels, targets)
    wanted = torch.nn.functional.cross_entropy(
        model(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(sums.nats, wanted.detach(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_the_spans_loss_is_t5s(tmp_path: Path, z_loss: float) -> None:
    torch.manual_seed(0)
    peer = T5ForConditionalGeneration(
        T5Config(
            vocab_size=45,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            decoder_start_token_id=PAD,
        )
    ).eval()
    peer.save_pretrained(tmp_path)
    objective = SpansObjective(t5.read(tmp_path), z_loss)
    batches = SpanBatches(text(), 6, 20, 0, [41, 42, 43], END)
    for step in range(3):
        inputs, targets = batches.batch_at(step)
        found = peer(input_ids=inputs, labels=targets)
        sums = objective(inputs, targets)
        assert sums.tokens == targets.numel()
        torch.testing.assert_close(
            sums.nats / sums.tokens, found.loss.detach(), rtol=1e-5, atol=1e-5
        )
        drift = found.logits.logsumexp(-1).square().mean()
        wanted = found.loss + z_loss * drift
        torch.testing.assert_close(sums.objective / sums.tokens, wanted, rtol=1e-4, atol=1e-4)

"""What an encoder finds in place of hidden tokens, beside transformers' BERT."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from byteloom.export import bert
from byteloom.generation import fill_ids
from byteloom.models import EncoderConfig

MASK = 3


def test_it_finds_what_transformers_finds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    peer = BertForMaskedLM(
        BertConfig(
            vocab_size=45,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=20,
        )
    ).eval()
    for parameter in peer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    peer.save_pretrained(tmp_path)
    model = bert.read(tmp_path).train()
    ids = [1, 20, MASK, 30, MASK, MASK, 7, 2]
    likeliest = peer(torch.tensor([ids])).logits[0].argsort(-1, descending=True).tolist()
    want = [likeliest[i][0] if token == MASK else token for i, token in enumerate(ids)]
    assert fill_ids(model, ids, MASK) == want
    assert model.training, "it is left as it was"
    # Of what is forbidden, the next.
    never = {want[2], want[4], want[5]}
    second = [
        next(t for t in likeliest[i] if t not in never) if token == MASK else token
        for i, token in enumerate(ids)
    ]
    assert fill_ids(model, ids, MASK, never) == second != want


def test_what_cannot_be_filled_is_refused() -> None:
    config = EncoderConfig(vocab_size=10, context_length=8, d_model=16, num_layers=1, num_heads=2)
    model = config.build(seed=0)
    with pytest.raises(ValueError, match="none of the ids is 3, the mask"):
        fill_ids(model, [1, 2], MASK)
    with pytest.raises(ValueError, match="9 tokens"):
        fill_ids(model, [MASK] * 9, MASK)

"""ONNX files in onnxruntime: other shapes than those traced, whole and token by token."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from exported import MODELS, TEXT, experts, randomized, some_ids, tiny, tokenizer

import byteloom as bl
from byteloom import config
from byteloom.export import Source, onnx, write
from byteloom.model import ModelConfig
from byteloom.nn import GELUConfig, LayerNormConfig, MultiHeadConfig, SwiGLUConfig
from byteloom.nn.position.learned import LearnedConfig

#: Turned by places, with groups; added places, and a window, which sees distances; experts with
#: biases, in groups, beside a shared one.
EXPORTED = {
    "rotary": MODELS["llama, all options"],
    "learned": tiny(
        num_layers=1,
        position=LearnedConfig(),
        norm=LayerNormConfig(bias=True),
        attention=MultiHeadConfig(window=5),
    ),
    "experts": tiny(
        num_layers=1,
        ffn=experts(
            expert=SwiGLUConfig(d_ff=48, bias=True),
            shared=GELUConfig(d_ff=80),
            shared_gate=True,
            gate="sigmoid",
            num_experts=6,
            num_groups=3,
            top_groups=2,
            balance_rate=0.01,
        ),
    ),
}


@pytest.fixture(scope="module", params=EXPORTED)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Source, Path]:
    """A model, and the folder it was exported to; one with its weights in files of their own."""
    source = Source(randomized(EXPORTED[request.param]), tokenizer())
    folder = tmp_path_factory.mktemp("onnx") / request.param
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "learned":
            patch.setattr(onnx, "_LARGEST_FILE", 0)
        assert write(source, "onnx", folder) == []
    return source, folder


def equal(found: np.ndarray, source: Source, ids: torch.Tensor) -> None:
    with torch.no_grad():
        wanted = source.model(ids).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_logits_are_equal_in_any_shape(pair: tuple[Source, Path]) -> None:
    source, folder = pair
    session = ort.InferenceSession(folder / "model.onnx")
    assert [x.name for x in session.get_inputs()] == ["input_ids"]
    assert session.get_outputs()[0].shape[2] == 300
    for batch, count in ((1, 1), (1, 2), (3, 17), (2, 256)):
        ids = some_ids(count, batch)
        equal(session.run(["logits"], {"input_ids": ids.numpy()})[0], source, ids)


def test_parts_with_their_past_are_equal_to_the_whole(pair: tuple[Source, Path]) -> None:
    """From no past at all, over single tokens, to the end of the context."""
    source, folder = pair
    session = ort.InferenceSession(folder / "model_with_past.onnx")
    names = [x.name for x in session.get_inputs()][1:]
    layers = source.config.num_layers
    assert names == [f"past.{i}.{what}" for i in range(layers) for what in ("key", "value")]
    heads, d_head = session.get_inputs()[1].shape[1::2]
    for parts in ([1, 1, 1, 1], [4, 1, 1, 5, 3], [200, 55, 1]):
        ids = some_ids(sum(parts), 2)
        past = {name: np.zeros((2, heads, 0, d_head), np.float32) for name in names}
        logits = []
        for part in ids.split(parts, dim=1):
            out, *present = session.run(None, {"input_ids": part.numpy(), **past})
            past = dict(zip(names, present, strict=True))
            logits.append(out)
        assert past[names[-1]].shape == (2, heads, sum(parts), d_head)
        equal(np.concatenate(logits, axis=1), source, ids)


def test_the_folder_has_tokenizer_and_configuration(pair: tuple[Source, Path]) -> None:
    source, folder = pair
    files = {"model.onnx", "model_with_past.onnx", "tokenizer.json"}
    if folder.name == "learned":
        files |= {"model.onnx.data", "model_with_past.onnx.data"}
        assert (folder / "model.onnx").stat().st_size < (folder / "model.onnx.data").stat().st_size
    assert {file.name for file in folder.iterdir()} == files
    assert list(folder.parent.iterdir()) == [folder]
    read = bl.Tokenizer.load(folder / "tokenizer.json")
    assert read.encode(TEXT) == tokenizer().encode(TEXT)
    metadata = ort.InferenceSession(folder / "model.onnx").get_modelmeta().custom_metadata_map
    assert config.load(ModelConfig, json.loads(metadata["byteloom"])) == source.config

"""``byteloom export``: a run -> a file; which checkpoint, which format, and what is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch
from exported import MODELS, randomized, some_ids, source

import byteloom as bl
from byteloom import checkpoint
from byteloom.cli import train_lm
from byteloom.cli.export import FORMATS, main
from byteloom.export import TARGETS, Source, open_run, write
from byteloom.export import safetensors as weights
from byteloom.export.expressible import differences
from byteloom.model import ModelConfig
from byteloom.training.run_folder import RunFolder
from tiny_run import END, make_data, write_toml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    make_data(folder)
    toml = write_toml(folder, training={"keep_checkpoints": 9})
    assert train_lm.main([str(toml), "-o", str(folder / "run")]) == 0
    toml = write_toml(folder, "averaged.toml", averaging={"decay": 0.8})
    assert train_lm.main([str(toml), "-o", str(folder / "averaged")]) == 0
    return folder


def export(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_command_knows_all_formats() -> None:
    assert set(FORMATS) == set(TARGETS)


def test_the_weights_go_out_and_come_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "weights.safetensors"
    assert export(folder / "run", "--to", "safetensors", "-o", path) == 0
    wanted = RunFolder.open(folder / "run").load_model()
    said = capsys.readouterr().out
    assert f"{wanted.num_parameters():,} parameters after 12 steps" in said
    found = weights.read(path)
    assert found.config == wanted.config and not found.training
    for name, tensor in wanted.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=0, atol=0)
    with safetensors.safe_open(path, framework="pt") as file:
        assert "layers.0.attn.q_proj.weight" in file.keys()  # noqa: SIM118
        header = json.loads(file.metadata()["byteloom"])
    assert header["figures"]["iteration"] == 12 and header["figures"]["best_valid_loss"] > 0
    tokenizer = bl.Tokenizer.load(folder / "run/tokenizer.json")
    assert header["tokenizer"] == tokenizer.fingerprint


def test_that_prefixes_are_read_otherwise_elsewhere_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = write_toml(folder, "prefix.toml", task={"kind": "prefix"}, training={"steps": 1})
    assert train_lm.main([str(toml), "-o", str(folder / "prefix")]) == 0
    for to in ("safetensors", "hf"):
        assert export(folder / "prefix", "--to", to, "-o", folder / f"prefix-{to}") == 0
        assert "programs that open this read a prompt causally" in capsys.readouterr().err
    assert export(folder / "run", "--to", "hf", "-o", folder / "run-hf") == 0
    assert capsys.readouterr().err == ""


def test_a_tied_head_and_narrow_weights_come_back(tmp_path: Path) -> None:
    ours = source("gpt2")
    assert write(ours, "safetensors", tmp_path / "w", "bf16") == []
    with safetensors.safe_open(tmp_path / "w", framework="pt") as file:
        assert file.get_tensor("lm_head.weight").dtype is torch.bfloat16
    found = weights.read(tmp_path / "w")
    ids = some_ids()
    assert found.lm_head.weight is found.token_embeddings.weight
    with torch.no_grad():
        torch.testing.assert_close(found(ids), ours.model.bfloat16().float()(ids))


def test_the_checkpoint_can_be_chosen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = folder / "run", folder / "chosen.safetensors"
    read = RunFolder.open(run)
    for which in (5, "best", "newest"):
        assert export(run, "--to", "safetensors", "-o", out, "--checkpoint", which) == 0
        wanted = read.load_model(None if which == "newest" else which)
        ids = some_ids(10) % 256
        with torch.no_grad():
            torch.testing.assert_close(weights.read(out)(ids), wanted(ids), rtol=0, atol=0)
    assert export(run, "--to", "safetensors", "-o", out, "--checkpoint", "averaged") == 1
    assert "averages no weights" in capsys.readouterr().err
    assert export(run, "--to", "safetensors", "-o", out, "--checkpoint", 6) == 1
    assert "no checkpoint of step 6, but of 5, 10, 12" in capsys.readouterr().err


def test_a_run_that_averages_gives_its_average(folder: Path) -> None:
    found = open_run(folder / "averaged", "averaged")
    ids = some_ids(10) % 256
    with torch.no_grad():
        wanted = RunFolder.open(folder / "averaged").load_model()(ids)
        torch.testing.assert_close(found.model(ids), wanted, rtol=0, atol=0)
        plain = found.config.build()
        newest = RunFolder.open(folder / "averaged").checkpoint_at()
        plain.load_state_dict(checkpoint.read(newest).model)
        assert not torch.equal(plain(ids), wanted)


def test_one_checkpoint_is_enough(folder: Path, tmp_path: Path) -> None:
    file = folder / "run/checkpoints/step-000010.safetensors"
    inside = open_run(file)
    assert (
        inside.iteration == 10
        and inside.tokenizer is not None
        and inside.roles.tokens == {"bos_token": END, "eos_token": END}
    )
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(file.read_bytes())
    found = open_run(alone)
    assert found.tokenizer is None and found.roles.tokens["eos_token"] is None
    assert torch.equal(found.model.lm_head.weight, inside.model.lm_head.weight)


def test_an_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    file = folder / "run/checkpoints/step-000010.safetensors"
    found = checkpoint.read(file, optimizer=False)
    model = {"kind": "encoder", "vocab_size": 300, "d_model": 32, "num_heads": 2}
    encoder = replace(found, config={**found.config, "model": model})
    checkpoint.write(encoder, tmp_path / "encoder")
    with pytest.raises(ValueError, match="has an encoder: only decoders are exported"):
        open_run(tmp_path / "encoder")


def test_another_runs_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints/step-000010.safetensors"
    file.write_bytes((folder / "run/checkpoints/step-000010.safetensors").read_bytes())
    bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<other>"]).save(
        tmp_path / "tokenizer.json"
    )
    with pytest.raises(ValueError, match=r"is not the tokenizer that .* was trained with"):
        open_run(file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "nanogpt", "-o", "x.pt"], "nanoGPT cannot express this model: norm.kind"),
        (["--to", "gguf", "-o", "nowhere/x"], "no folder nowhere to write x into"),
        (["--to", "gguf", "-o", "."], " is folder: name another"),
        (["--to", "onnx", "-o", "x", "--dtype", "bf16"], "onnx has weights of the type fp32"),
    ],
)
def test_what_cannot_be_is_said(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(folder / "run", *arguments) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("to", "missing"), [("gguf", "gguf"), ("onnx", "onnxscript")])
def test_a_missing_library_is_named_with_what_installs_it(
    to: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=f"--to {to} needs {missing}: pip install .*{missing}"):
        write(source("llama"), to, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_format_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no format 'zip', only hf, gguf"):
        write(source("llama"), "zip", tmp_path / "out")


def test_what_no_file_of_weights_is_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "w"
    with pytest.raises(FileNotFoundError, match="no file"):
        weights.read(path)
    path.write_bytes(b"nothing at all")
    with pytest.raises(ValueError, match="damaged or no safetensors file"):
        weights.read(path)
    checkpoint.save(randomized(MODELS["llama"]), None, 1, path)
    with pytest.raises(ValueError, match="no model's configuration"):
        weights.read(path)


def test_a_key_nobody_told_a_format_of_must_have_its_default() -> None:
    config = ModelConfig(vocab_size=9)
    kinds = {f"{key}.kind": getattr(config, key).kind for key in ("norm", "position", "ffn")}
    kinds |= {"attention.kind": "multi_head", "block.kind": "pre"}
    assert differences(config, kinds) == []
    assert differences(config, {**kinds, "ffn.kind": "gelu"}) == [
        "ffn.kind is 'swiglu', not 'gelu'"
    ]
    changed = replace(config, full_every=2, attention=replace(config.attention, window=4))
    assert differences(changed, kinds) == [
        "attention.window is 4, not None",
        "full_every is 2, not None",
    ]
    assert differences(changed, kinds, frozenset({"attention.*", "full_every"})) == []
    # A part's kind has no default: each format must say which it has.
    assert differences(config, {}) != []


def test_a_folder_for_transformers(folder: Path, tmp_path: Path) -> None:
    from byteloom.export import hf

    assert export(folder / "run", "--to", "hf", "-o", tmp_path / "hf") == 0
    found, _ = hf.read(tmp_path / "hf")
    ids = some_ids(10) % 256
    with torch.no_grad():
        torch.testing.assert_close(found.eval()(ids), open_run(folder / "run").model(ids))


def test_from_python(folder: Path, tmp_path: Path) -> None:
    assert isinstance(bl.export.open_run(folder / "run"), Source)
    bl.export.write(bl.export.open_run(folder / "run"), "gguf", tmp_path / "m.gguf", "fp16")
    assert (tmp_path / "m.gguf").stat().st_size > 1000

"""Encoders, encoders with decoders, and nanoGPT's files: out and in by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peers import by_chance, make_peer

from byteloom import config
from byteloom.cli import main as cli
from byteloom.cli import train_lm
from byteloom.export import (
    bert,
    importing,
    nanogpt,
    open_any_run,
    open_run,
    safetensors,
    t5,
    write,
)
from byteloom.export.source import Source
from byteloom.model import ModelConfig
from byteloom.models import AnyModel, EncoderConfig, EncoderDecoderConfig
from byteloom.nn import MultiHeadConfig
from byteloom.tokenizer import Tokenizer
from byteloom.training.run_folder import RunFolder
from tiny_run import make_data, write_toml

transformers = pytest.importorskip("transformers")
SPECIAL = ["[PAD]", "[MASK]", "[CLS]", "[SEP]", "</s>", "<extra_id_0>"]
SIZES: dict[str, Any] = {"vocab_size": 262, "context_length": 20, "d_model": 24, "num_heads": 3}
MODELS = {
    "encoder": EncoderConfig(**SIZES, num_layers=2),
    "encoder_decoder": EncoderDecoderConfig(**SIZES, num_layers=2, start_id=256),
}


def tokenizer() -> Tokenizer:
    return Tokenizer({i: bytes([i]) for i in range(256)}, [], SPECIAL)


def made(folder: Path, kind: str) -> AnyModel:
    """A run with weights by chance."""
    model = MODELS[kind].build().eval()
    by_chance(model)
    RunFolder.imported(folder, model, tokenizer())
    return model


def logits(model: Any, kind: str, *, theirs: bool = False) -> torch.Tensor:
    ids = torch.arange(2 * 12).view(2, 12)
    given = torch.arange(100, 107).expand(2, 7)
    with torch.no_grad():
        if kind == "encoder":
            return model(ids).prediction_logits if theirs else model(ids)
        return model(input_ids=ids, decoder_input_ids=given).logits if theirs else model(ids, given)


@pytest.mark.parametrize("kind", MODELS)
def test_other_kinds_go_out_and_come_in(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = made(tmp_path / "run", kind)
    wanted = logits(model, kind)
    argv = ["export", str(tmp_path / "run"), "--to", "hf", "-o", str(tmp_path / "out")]
    assert cli.main(argv) == 0
    assert capsys.readouterr().err == ""
    name = {"encoder": "BertForPreTraining", "encoder_decoder": "T5ForConditionalGeneration"}[kind]
    peer = getattr(transformers, name).from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(logits(peer, kind, theirs=True), wanted, rtol=1e-4, atol=1e-4)
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert fast.encode("so [MASK]") == tokenizer().encode("so [MASK]", "all")
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    key, token = {
        "encoder": ("pad_token_id", "[PAD]"),
        "encoder_decoder": ("eos_token_id", "</s>"),
    }[kind]
    assert settings[key] == tokenizer().special_tokens[token]

    argv = ["import", str(tmp_path / "out"), "-o", str(tmp_path / "again"), "--json"]
    assert cli.main(argv) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == name
    again = RunFolder.open(tmp_path / "again")
    assert again.load_tokenizer() == tokenizer()
    assert torch.equal(logits(again.load_any_model(), kind), wanted)


TASKS = {
    "encoder": {"kind": "masked", "mask": "<mask>", "pad": "<pad>"},
    "encoder_decoder": {"kind": "spans", "end": "</s>", "start": "<pad>"},
}


@pytest.mark.parametrize("kind", MODELS)
def test_special_tokens_are_what_the_task_had_them_for(kind: str, tmp_path: Path) -> None:
    special = ["<pad>", "<mask>", "[CLS]", "[SEP]", "</s>", *(f"<extra_id_{i}>" for i in range(4))]
    ids = make_data(tmp_path, special).special_tokens
    over = {"model": {"kind": kind}, "task": TASKS[kind], "training": {"steps": 1}}
    assert train_lm.main([str(write_toml(tmp_path, **over)), "-o", str(tmp_path / "run")]) == 0
    argv = ["export", str(tmp_path / "run"), "--to", "hf", "-o", str(tmp_path / "out")]
    assert cli.main(argv) == 0
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    assert found.pad_token_id == settings["pad_token_id"] == ids["<pad>"]
    if kind == "encoder_decoder":
        assert found.eos_token_id == settings["eos_token_id"] == ids["</s>"]
        return
    assert (found.cls_token, found.sep_token) == ("[CLS]", "[SEP]")
    fill = transformers.pipeline("fill-mask", model=str(tmp_path / "out"))
    text = "[CLS]def f<mask>(x)[SEP]"
    [best, *_] = fill(text)
    model = RunFolder.open(tmp_path / "run").load_any_model().eval()
    with torch.no_grad():
        logits = model(torch.tensor([found.encode(text)]))[0]
    place = found.encode(text).index(ids["<mask>"])
    assert best["token"] == int(logits[place].argmax())


@pytest.mark.parametrize("kind", MODELS)
def test_what_comes_back_is_asked_as_before_and_learns_on(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"mask": "<mask>", "pad": "<pad>", "cls": "<s>", "sep": "</s>"}
    task = {**TASKS, "encoder": {"kind": "masked", **names}}
    # By default, the first of them would end texts.
    special = ["<pad>", "<mask>", "<s>", "</s>", *(f"<extra_id_{i}>" for i in range(4))]
    make_data(tmp_path, special)
    over = {"model": {"kind": kind}, "task": task[kind], "training": {"steps": 1}}
    assert train_lm.main([str(write_toml(tmp_path, **over)), "-o", str(tmp_path / "run")]) == 0
    out, back = str(tmp_path / "out"), tmp_path / "back"
    assert cli.main(["export", str(tmp_path / "run"), "--to", "hf", "-o", out]) == 0
    assert cli.main(["import", out, "-o", str(back)]) == 0
    runs = [RunFolder.open(tmp_path / "run"), RunFolder.open(back)]
    assert runs[0].load_config().task == runs[1].load_config().task
    prompt = {"encoder": "def <mask>(x)", "encoder_decoder": "def <extra_id_0>(x)"}[kind]
    said = []
    for run in runs:
        capsys.readouterr()
        argv = ["--prompt", prompt, "--temperature", "0", "--max-new-tokens", "6"]
        assert cli.main(["generate", str(run.path), *argv]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    # What learns on by another end has that one.
    argv = [str(back / "config.toml"), f"--training.start={back}", "-o", str(tmp_path / "tuned")]
    argv += [f"--data.train={tmp_path / 'train.npy'}", "--training.steps=1"]
    argv += ["--training.batch_size=2", "--training.device=cpu"]
    argv += ["--task.end=<s>"] if kind == "encoder_decoder" else ["--task.mask=<extra_id_1>"]
    assert cli.main(["train-lm", *argv]) == 0
    out = str(tmp_path / "again")
    assert cli.main(["export", str(tmp_path / "tuned"), "--to", "hf", "-o", out]) == 0
    found = transformers.AutoTokenizer.from_pretrained(out)
    if kind == "encoder":
        assert (found.mask_token, found.cls_token) == ("<extra_id_1>", "<s>")
    else:
        settings = json.loads((tmp_path / "again" / "generation_config.json").read_text())
        ids = [found.convert_tokens_to_ids(name) for name in ("<s>", "</s>")]
        assert found.eos_token == "<s>" and settings["eos_token_id"] == ids


@pytest.mark.parametrize("kind", ["decoder", *MODELS])
def test_ids_without_tokens_are_never_drawn_and_such_a_model_learns_on(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"<extra_id_{i}>" for i in range(4))]
    made_of = make_data(tmp_path, special)
    sizes = {**SIZES, "vocab_size": 2000, "context_length": 16, "num_layers": 1}
    made_by = {
        "decoder": ModelConfig(**sizes),
        "encoder": EncoderConfig(**sizes),
        "encoder_decoder": EncoderDecoderConfig(**sizes, start_id=256),
    }[kind]
    RunFolder.imported(tmp_path / "run", made_by.build(seed=0), made_of)
    ask = ["--prompt", "d[MASK][MASK][MASK]f", "--temperature", "5", "--seed", "1"]
    argv = [str(tmp_path / "run" / "config.toml"), f"--training.start={tmp_path / 'run'}"]
    argv += [f"--data.train={tmp_path / 'train.npy'}", "--training.batch_size=2"]
    argv += [f"--data.tokenizer={tmp_path / 'tokenizer.json'}", "--training.steps=1"]
    assert cli.main(["train-lm", *argv, "-o", str(tmp_path / "tuned")]) == 0
    for name in ("run", "tuned"):
        capsys.readouterr()
        how = ["--max-new-tokens", "12", "--stop", ""]
        assert cli.main(["generate", str(tmp_path / name), *ask, *how]) == 0
        assert len(capsys.readouterr().out) > 3
    start = next(i for i, word in enumerate(argv) if "training.start" in word)
    del argv[start]
    assert cli.main(["train-lm", *argv, "-o", str(tmp_path / "fresh")]) == 1
    assert "vocab_size is 2,000, but the tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize("kind", MODELS)
def test_the_weights_alone_are_a_model_again(kind: str, tmp_path: Path) -> None:
    made(tmp_path / "run", kind)
    argv = ["export", str(tmp_path / "run"), "--to", "safetensors", "-o", str(tmp_path / "file")]
    assert cli.main(argv) == 0
    again, model = safetensors.read(tmp_path / "file"), open_any_run(tmp_path / "run").model
    assert again.config == model.config
    assert not again.training
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)


@pytest.mark.parametrize("kind", MODELS)
def test_other_formats_have_decoders_only(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path / "run", kind)
    for to in ("gguf", "onnx", "nanogpt"):
        argv = ["export", str(tmp_path / "run"), "--to", to, "-o", str(tmp_path / "out")]
        assert cli.main(argv) == 1
        told = f"{to} is for decoders, and this is an {kind}: hf, a folder"
        assert told in capsys.readouterr().err
    with pytest.raises(ValueError, match=f"has an {kind}: only decoders are exported"):
        open_run(tmp_path / "run")
    assert open_any_run(tmp_path / "run").model.config == MODELS[kind]
    assert not (tmp_path / "out").exists()


def test_what_bert_is_not_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = EncoderConfig(**SIZES, num_layers=1, token_types=3, final_norm=True).build()
    RunFolder.imported(tmp_path / "run", model, tokenizer())
    argv = ["export", str(tmp_path / "run"), "--to", "hf", "-o", str(tmp_path / "out")]
    assert cli.main(argv) == 1
    assert "BertForPreTraining has model.final_norm" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_dropout_of_attention_goes_along_where_there_is_a_word_for_it(tmp_path: Path) -> None:
    attention = {"causal": False, "bias": True, "output_bias": True, "dropout": 0.25, "d_head": 8}
    encoder = EncoderConfig(**SIZES, num_layers=1, attention=MultiHeadConfig(**attention))
    bert.write(encoder.build(), tmp_path / "bert")
    peer = transformers.BertModel.from_pretrained(tmp_path / "bert")
    assert peer.encoder.layer[0].attention.self.dropout.p == 0.25
    assert bert.read(tmp_path / "bert").config.attention.dropout == 0.25
    # T5 has one rate, and drops weights of attention by it.
    t5.write(MODELS["encoder_decoder"].build(), tmp_path / "t5")
    peer = transformers.T5Model.from_pretrained(tmp_path / "t5")
    assert peer.encoder.block[0].layer[0].SelfAttention.dropout == 0.1
    again = t5.read(tmp_path / "t5").config
    assert (again.attention.dropout, again.dropout) == (0.1, 0.1)


def test_an_encoder_without_a_tokenizer_is_for_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = transformers.BertConfig(
        vocab_size=262, hidden_size=24, num_hidden_layers=1, num_attention_heads=3
    )
    peer = transformers.BertForMaskedLM(settings).eval()
    peer.save_pretrained(tmp_path / "bert")
    argv = ["import", str(tmp_path / "bert"), "-o", str(tmp_path / "run")]
    assert cli.main(argv) == 1
    told = capsys.readouterr().err
    assert "give one with --tokenizer FILE" in told and "importing.read" in told
    found = importing.read(tmp_path / "bert")
    assert (found.architecture, found.tokenizer) == ("BertForMaskedLM", None)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(found.model(ids), peer(ids).logits, rtol=1e-4, atol=1e-4)
    (tmp_path / "bert" / "tokenizer.json").write_text('{"model": {"type": "WordPiece"}}')
    assert cli.main(argv) == 1
    assert "byteloom.export.bert.read" in capsys.readouterr().err
    tokenizer().save(tmp_path / "mine.json")
    assert cli.main([*argv, "--tokenizer", str(tmp_path / "mine.json")]) == 0
    assert RunFolder.open(tmp_path / "run").load_any_model().config == found.model.config


@pytest.mark.parametrize("whole_folder", [True, False])
def test_nanogpts_file_becomes_a_run(
    whole_folder: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes: dict[str, Any] = {"norm": {"kind": "layernorm"}, "position": {"kind": "learned"}}
    sizes |= {"ffn": {"kind": "gelu"}, "tie_embeddings": True, "num_layers": 1, **SIZES}
    model = config.load(ModelConfig, sizes).build().eval()
    by_chance(model)
    (tmp_path / "out").mkdir()
    nanogpt.write(Source(model), tmp_path / "out" / "ckpt.pt")
    theirs = tmp_path / "out" if whole_folder else tmp_path / "out" / "ckpt.pt"
    assert cli.main(["import", str(theirs), "-o", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architecture"] == "nanoGPT"
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.equal(RunFolder.open(tmp_path / "run").load_model()(ids), model(ids))


def test_what_nobody_reads_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        importing.read(tmp_path / "nowhere")
    make_peer("llama2").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "mamba"}))
    with pytest.raises(ValueError, match=r"'mamba'; byteloom reads bert, cohere.*t5"):
        importing.read(tmp_path)
    with pytest.raises(ValueError, match="is no checkpoint of nanoGPT"):
        importing.read(path)


def test_nanogpt_without_experts_says_so(tmp_path: Path) -> None:
    sizes = {**SIZES, "num_layers": 1, "ffn": {"kind": "experts", "num_experts": 4}}
    model = config.load(ModelConfig, sizes).build().eval()
    with pytest.raises(ValueError, match=r"ffn\.kind is 'experts'"):
        write(Source(model), "nanogpt", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

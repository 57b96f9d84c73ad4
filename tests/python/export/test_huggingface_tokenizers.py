"""A tokenizer that goes out with a model gives byteloom's ids, whatever the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peers import PEERS, by_chance, ids, make_peer
from torch.testing import assert_close

import byteloom as bl
from byteloom import presets
from byteloom.export import hf
from byteloom.export.hf.families import FAMILIES
from byteloom.export.hf.roles import begin_and_end
from byteloom.export.hf.tokenizer_files import write
from byteloom.model import ModelConfig
from byteloom.nn import MultiHeadConfig

transformers = pytest.importorskip("transformers")

END = "<|endoftext|>"
TEXT = (
    "It's the text that they'll train on: naïve — 中文 12 345.\n\n\tdef f(x):  return x ** 2\n" * 9
)
NASTY = [
    *("", " ", "  ", "\n", " \n\n  x", "\t\tx \r\n", "a .", "it 's , isn 't ?", "don't DON'T"),
    *(
        "é e\u0301 ß Ω я 中文。ひら 한글 ع",
        "½ Ⅷ ٣ ² १ 0042",
        "😀👩\u200d👩\u200d👧 \ufeff\x00\x7f\ufffd",
    ),
    *(END, f"a{END}b", f" {END} {END}{END} ", "<|endoftext", "<|end|>", "<s></s>[INST]▁ ▁"),
    *("\u2028\x0b\x1c\x85\xa0\u3000x", "a" * 500, TEXT),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> bl.Tokenizer:
    """Trained, with two special tokens."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, "utf-8")
    return bl.train_bpe(path, 320, [END, "<|end|>"])


def assert_same_ids(peer: Any, tokenizer: bl.Tokenizer) -> None:
    for text in NASTY:
        wanted = tokenizer.encode(text)
        assert peer(text).input_ids == wanted, text
        assert peer.decode(wanted) == text, text


HONEST = [family for family in FAMILIES if not family.overrules_tokenizers]


@pytest.mark.parametrize("family", HONEST, ids=lambda family: family.model_type)
def test_ids_are_byteloom_s_beside_any_architecture(
    family: Any, tokenizer: bl.Tokenizer, tmp_path: Path
) -> None:
    """``AutoTokenizer`` looks at the model's kind too."""
    name = next(name for name, (kind, _) in PEERS.items() if kind == family.model_type)
    make_peer(name).config.save_pretrained(tmp_path)
    write(tokenizer, tmp_path, 32)
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert_same_ids(peer, tokenizer)
    assert peer.eos_token_id == tokenizer.special_tokens[END] == peer.bos_token_id
    assert peer.model_max_length == 32


def test_a_qwen2_with_another_tokenizer_is_a_llama(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    """``AutoTokenizer`` would take the tokenizer for Qwen's; a Llama's output bias can be zeros."""
    config = presets.load(
        "qwen2",
        vocab_size=tokenizer.vocab_size,
        context_length=32,
        d_model=32,
        num_layers=2,
        num_heads=4,
        attention={"num_kv_heads": 2},
        ffn={"d_ff": 48},
    )
    model = config.build(seed=0).eval()
    by_chance(model)
    hf.write(model, tokenizer, tmp_path / "out")
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert type(peer).__name__ == "LlamaForCausalLM"
    assert_close(peer(ids()).logits, model(ids()), rtol=1e-4, atol=1e-4)
    assert_same_ids(transformers.AutoTokenizer.from_pretrained(tmp_path / "out"), tokenizer)


def test_where_only_qwen2_fits_the_tokenizer_is_warned_of(
    tokenizer: bl.Tokenizer, tmp_path: Path
) -> None:
    attention = MultiHeadConfig(window=5, bias=True)
    model = ModelConfig(tokenizer.vocab_size, 32, 16, 1, 2, attention=attention).build(seed=0)
    with pytest.warns(UserWarning, match="open it as PreTrainedTokenizerFast"):
        hf.write(model, tokenizer, tmp_path / "out")
    assert "PreTrainedTokenizerFast.from_pretrained" in (tmp_path / "out/README.md").read_text()
    peer = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")
    assert_same_ids(peer, tokenizer)


@pytest.mark.parametrize("pattern", ["cl100k", "o200k", r"\w+|[^\w\s]+|\s+"])
def test_ids_are_byteloom_s_with_other_patterns(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT, "utf-8")
    tokenizer = bl.train_bpe(tmp_path / "text.txt", 300, [END], pattern=pattern)
    config = ModelConfig(tokenizer.vocab_size, 32, 16, 1, 2)
    hf.write(config.build(seed=0), tokenizer, tmp_path / "out")
    assert_same_ids(transformers.AutoTokenizer.from_pretrained(tmp_path / "out"), tokenizer)


def test_the_folder_says_what_ends_a_text(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    config = ModelConfig(tokenizer.vocab_size, 32, 16, 1, 2)
    hf.write(config.build(seed=0), tokenizer, tmp_path / "out", figures={"valid loss": 1.25})
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    end = tokenizer.special_tokens[END]
    assert model.generation_config.eos_token_id == model.config.eos_token_id == end
    assert model.generation_config.bos_token_id == end
    model_again, again = hf.read(tmp_path / "out")
    assert again == tokenizer
    assert model_again.config.vocab_size == tokenizer.vocab_size
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| valid loss " in card and " 1.25 |" in card and "library_name: transformers" in card


def test_without_a_tokenizer_nothing_ends_a_text(tmp_path: Path) -> None:
    hf.write(ModelConfig(30, 32, 16, 1, 2).build(seed=0), None, tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.config.eos_token_id is None and model.generation_config.eos_token_id is None
    assert not (tmp_path / "out" / "tokenizer.json").exists()


@pytest.mark.parametrize(
    ("special", "wanted"),
    [
        ([], (None, None)),
        ([END], (END, END)),
        (["<|begin_of_text|>", "<|end_of_text|>"], ("<|begin_of_text|>", "<|end_of_text|>")),
        (["<|im_end|>", END], (END, END)),
        (["<|doc|>", "<|user|>"], ("<|doc|>", "<|doc|>")),
    ],
)
def test_beginning_and_end_go_by_their_names(
    special: list[str], wanted: tuple[str | None, str | None]
) -> None:
    assert begin_and_end(bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], special)) == wanted


def test_a_pair_of_files_is_a_tokenizer_too(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    make_peer("gpt2").save_pretrained(tmp_path)
    tokenizer.save_vocab_merges(tmp_path / "vocab.json", tmp_path / "merges.txt")
    _, found = hf.read(tmp_path)
    assert found is not None and found.encode(TEXT) == tokenizer.encode(TEXT)


def changed(tokenizer: bl.Tokenizer, folder: Path, **model: Any) -> Path:
    """A Llama's folder whose tokenizer is that of Llama 3 in kind: a token is added, and more."""
    hf.write(ModelConfig(400, 32, 16, 1, 2).build(seed=0), tokenizer, folder)
    parts = json.loads((folder / "tokenizer.json").read_text())
    parts["model"] |= model
    begin = {"SpecialToken": {"id": END, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    ids = {END: {"id": END, "ids": [tokenizer.special_tokens[END]], "tokens": [END]}}
    template = {"type": "TemplateProcessing", "single": [begin, text], "pair": [text, text]}
    parts["post_processor"] = {
        "type": "Sequence",
        "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
            | {"use_regex": True},
            template | {"special_tokens": ids},
        ],
    }
    (folder / "tokenizer.json").write_text(json.dumps(parts))
    return folder


def test_a_tokenizer_like_llama_3s_is_read(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    """What it puts before a text is not byteloom's; that tokens need no merges makes no odds."""
    folder = changed(tokenizer, tmp_path / "out", ignore_merges=True)
    _, found = hf.read(folder)
    assert found == tokenizer
    assert hf.prefix(folder) == END
    peer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    assert peer("a").input_ids[0] == tokenizer.special_tokens[END], "the template is one"
    for text in NASTY:
        assert peer(text, add_special_tokens=False).input_ids == tokenizer.encode(text)


def test_tokens_that_merges_do_not_make_are_refused(tmp_path: Path) -> None:
    """Of "abc", the first merge takes a and b, so that the last never comes to its turn."""
    merges = [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")]
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"ab", 257: b"bc", 258: b"abc"}
    tokenizer = bl.Tokenizer(vocab, merges, [END])
    assert tokenizer.encode("abc") == [256, ord("c")]
    folder = changed(tokenizer, tmp_path / "out", ignore_merges=True)
    peer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    assert peer("abc", add_special_tokens=False).input_ids == [258]
    with pytest.raises(ValueError, match=r"merges alone do not make token 258, b'abc'"):
        hf.read(folder)

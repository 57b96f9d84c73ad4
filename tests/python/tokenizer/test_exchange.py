"""Files and objects of other tools, there and back, with equal ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiktoken
import tokenizers
import transformers
from texts import END, PROSE
from tiktoken.load import load_tiktoken_bpe

import byteloom as bl
from byteloom import _rust


@pytest.fixture(scope="module")
def tokenizer() -> bl.Tokenizer:
    return bl.PretokenCounts.from_texts([PROSE * 2], [END, "<pad>"]).train(500)


@pytest.mark.parametrize("pattern", [*_rust.PRESETS, r"\w+|\W"])
def test_tokenizer_json_opens_in_tokenizers_and_transformers(pattern: str, tmp_path: Path) -> None:
    tokenizer = bl.PretokenCounts.from_texts([PROSE], [END], pattern).train(400)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    text = PROSE + END + "  it's 12345 x\r\n\r\n  y" + END
    ids = tokenizer.encode(text)
    peer = tokenizers.Tokenizer.from_file(str(path))
    assert peer.encode(text).ids == ids
    assert peer.decode(ids, skip_special_tokens=False) == text
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert fast.encode(text) == ids
    for again in (
        bl.Tokenizer.load(path),
        bl.Tokenizer.load(tmp_path),
        bl.Tokenizer.from_huggingface(peer),
        bl.Tokenizer.from_huggingface(fast),
    ):
        assert again == tokenizer


def test_a_hugging_face_trained_tokenizer_is_read(tmp_path: Path) -> None:
    peer = tokenizers.ByteLevelBPETokenizer()
    peer.train_from_iterator([PROSE], vocab_size=400, special_tokens=[END], show_progress=False)
    peer.save(str(tmp_path / "tokenizer.json"))
    ours = bl.Tokenizer.load(tmp_path)
    assert ours.encode(PROSE + END) == peer.encode(PROSE + END).ids
    peer.save_model(str(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    pair = bl.Tokenizer.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt", [END])
    assert pair.encode(PROSE + END) == ours.encode(PROSE + END)
    assert bl.Tokenizer.load(tmp_path).encode(PROSE) == ours.encode(PROSE)


def test_gpt2_files_there_and_back(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    pair = tmp_path / "vocab.json", tmp_path / "merges.txt"
    tokenizer.save_vocab_merges(*pair)
    assert bl.Tokenizer.from_files(*pair, special_tokens=[END, "<pad>"]) == tokenizer
    peer = tokenizers.ByteLevelBPETokenizer(*map(str, pair))
    assert peer.encode(PROSE).ids == tokenizer.encode(PROSE)


def test_tiktoken_object_and_file(tokenizer: bl.Tokenizer, tmp_path: Path) -> None:
    encoding = tokenizer.to_tiktoken()
    assert isinstance(encoding, tiktoken.Encoding)
    assert encoding.encode(PROSE + END, allowed_special="all") == tokenizer.encode(PROSE + END)
    assert bl.Tokenizer.from_tiktoken(encoding) == tokenizer
    path = tmp_path / "ranks.tiktoken"
    tokenizer.save_tiktoken(path)
    ranks = load_tiktoken_bpe(str(path))
    assert ranks == encoding._mergeable_ranks
    assert bl.Tokenizer.load(path, tokenizer.special_tokens) == tokenizer
    with pytest.raises(ValueError, match="give those it was made with"):
        bl.Tokenizer.load(path)


def test_what_tiktoken_cannot_express_is_refused(tmp_path: Path) -> None:
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"abc", 257: b"ab"}
    tokenizer = bl.Tokenizer(vocab, [(b"a", b"b"), (b"ab", b"c")])
    assert tokenizer.encode("abc") == [256]
    vocab = {i: bytes([i]) for i in range(256)} | {256: b"ab", 257: b"bc"}
    reordered = bl.Tokenizer(vocab, [(b"b", b"c"), (b"a", b"b")])
    for odd in (tokenizer, reordered):
        with pytest.raises(ValueError, match="tiktoken"):
            odd.to_tiktoken()
        with pytest.raises(ValueError, match="tiktoken"):
            odd.save_tiktoken(tmp_path / "ranks")


def test_a_special_token_that_text_also_merges_into(tmp_path: Path) -> None:
    tokenizer = bl.PretokenCounts.from_mapping({b"then": 3}, ["the"]).train(300)
    assert (b"t", b"he") in tokenizer.merges or (b"th", b"e") in tokenizer.merges
    assert sorted(tokenizer.vocab.values()) == sorted(set(tokenizer.vocab.values()))
    tokenizer.save(tmp_path / "tok.json")
    again = bl.Tokenizer.load(tmp_path / "tok.json")
    assert again == tokenizer
    peer = tokenizer.to_huggingface()
    for text in ("the then", "theythe", " the"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert peer.encode(text).ids == ids


def test_what_byteloom_does_not_have_is_refused(tokenizer: bl.Tokenizer) -> None:
    def changed(**keys: object) -> tokenizers.Tokenizer:
        document = json.loads(tokenizer.to_huggingface().to_str())
        return tokenizers.Tokenizer.from_str(json.dumps(document | keys))

    truncating = changed()
    truncating.enable_truncation(4)
    padding = changed()
    padding.enable_padding(length=12)
    for peer, key in (
        (changed(normalizer={"type": "NFC"}), "normalizer"),
        (changed(decoder={"type": "Fuse"}), "decoder"),
        (truncating, "truncation"),
        (padding, "padding"),
    ):
        with pytest.raises(ValueError, match=key):
            bl.Tokenizer.from_huggingface(peer)
    with pytest.raises(ValueError, match="no Hugging Face tokenizer"):
        bl.Tokenizer.from_huggingface(object())


BYTES = {i: bytes([i]) for i in range(256)}


@pytest.mark.parametrize(
    ("vocab", "merges", "special", "message"),
    [
        ({i: bytes([i]) for i in range(255)}, [], [], "255|0xff|ff"),
        (BYTES | {256: b"ab"}, [(b"a", b"c")], [], "merge 0|merges?.*0"),
        (BYTES | {256: b"abc"}, [(b"ab", b"c")], [], "merge 0|merges?.*0"),
        (BYTES | {258: b"ab"}, [(b"a", b"b")], [], "25[67]"),
        (BYTES, [], ["<a>", "<a>"], "<a>"),
        (BYTES, [], [""], "empty"),
        (BYTES | {-1: b"ab"}, [], [], "-1"),
    ],
)
def test_contradictions_are_refused(
    vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]], special: list[str], message: str
) -> None:
    with pytest.raises((ValueError, OverflowError), match=message):
        bl.Tokenizer(vocab, merges, special)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"model": {"type": "WordPiece"}}',
        b"not base64 1\n",
        b"\x00" * 99,
    ],
)
def test_a_file_that_is_no_tokenizer_names_itself(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.json"):
        bl.Tokenizer.load(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        bl.Tokenizer.load(tmp_path / "nothing.json")
    with pytest.raises((FileNotFoundError, ValueError), match=str(tmp_path)):
        bl.Tokenizer.load(tmp_path)

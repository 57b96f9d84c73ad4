"""Chat templates and what special tokens are for: out, in and out again, beside transformers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peers import by_chance, make_peer

import byteloom as bl
from byteloom.cli import main as cli
from byteloom.cli import train_lm
from byteloom.export import chat, hf, importing, open_run, write
from byteloom.export.hf.roles import Roles, of_folder
from byteloom.export.source import AnySource, Source
from byteloom.model import ModelConfig
from byteloom.models import EncoderConfig
from byteloom.training.run_folder import CHAT, ROLES, RunFolder
from tiny_run import END, make_data

transformers = pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")

SPECIAL = [END, "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
#: In the manner of ChatML.
CHATML = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != 'system' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1 + 1? Wie viel, 中文?\n"},
    {"role": "assistant", "content": "<think>\n\n</think>\n\n2"},
    {"role": "user", "content": " And <b>2</b> & 2?"},
]
WRITTEN = (
    "<|im_start|>system\nBe brief.<|im_end|>\n"
    "<|im_start|>user\n1 + 1? Wie viel, 中文?\n<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n2<|im_end|>\n"
    "<|im_start|>user\n And <b>2</b> & 2?<|im_end|>\n"
    "<|im_start|>assistant\n"
)


def tokenizer(special: list[str] | None = None) -> bl.Tokenizer:
    names = SPECIAL if special is None else special
    return bl.Tokenizer({i: bytes([i]) for i in range(256)}, [], names)


def run_of(folder: Path, made: bl.Tokenizer | None = None) -> bl.Tokenizer:
    """A run with weights by chance."""
    found = made or tokenizer()
    sizes = ModelConfig(found.vocab_size, 64, 32, 1, 2)
    model = sizes.build(seed=0).eval()
    RunFolder.imported(folder, model, found)
    return found


def export(run: Path, to: str, out: Path, *more: object) -> int:
    return cli.main(["export", *map(str, (run, "--to", to, "-o", out, *more))])


def template(folder: Path, text: str = CHATML) -> Path:
    path = folder / "chat.jinja"
    path.write_text(text, "utf-8")
    return path


def test_transformers_applies_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = run_of(tmp_path / "run")
    given = template(tmp_path)
    assert export(tmp_path / "run", "hf", tmp_path / "out", "--chat-template", given) == 0
    assert capsys.readouterr().err == ""
    assert (tmp_path / "out" / "chat_template.jinja").read_text("utf-8") == CHATML
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    said = peer.apply_chat_template(TALK, add_generation_prompt=True, tokenize=False)
    assert said == WRITTEN
    ids = peer.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False)
    assert ids == ours.encode(WRITTEN)
    assert ids.count(ours.special_tokens["<|im_end|>"]) == 4, "each is one token"
    # The answer ends where the template ends a turn, as well as where texts end.
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    special = ours.special_tokens
    assert model.generation_config.eos_token_id == [special[END], special["<|im_end|>"]]
    assert (peer.eos_token, model.config.eos_token_id) == (END, special[END])
    assert "apply_chat_template" in (tmp_path / "out" / "README.md").read_text()
    # The run itself stays what it is.
    assert not (tmp_path / "run" / CHAT).exists()


def test_generate_stops_where_the_turn_ends(tmp_path: Path) -> None:
    ours = run_of(tmp_path / "run")
    turn = ours.special_tokens["<|im_end|>"]
    source = open_run(tmp_path / "run")
    write(source, "hf", tmp_path / "out", chat_template=CHATML)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()

    def only(ids: Any, scores: torch.Tensor) -> torch.Tensor:
        return torch.full_like(scores, -1e9).index_fill(1, torch.tensor([turn]), 0.0)

    found = peer.generate(
        torch.tensor([[1, 2]]), max_new_tokens=9, logits_processor=[only], do_sample=False
    )
    assert found.tolist() == [[1, 2, turn]]


def test_the_card_s_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_other_kinds_folders import code_of

    run_of(tmp_path / "run")
    assert (
        export(tmp_path / "run", "hf", tmp_path / "mine", "--chat-template", template(tmp_path))
        == 0
    )
    monkeypatch.chdir(tmp_path)
    exec(code_of((tmp_path / "mine" / "README.md").read_text()), {})


def test_it_is_in_a_gguf_file(tmp_path: Path) -> None:
    ours = run_of(tmp_path / "run")
    out = tmp_path / "out.gguf"
    assert export(tmp_path / "run", "gguf", out, "--chat-template", template(tmp_path)) == 0
    reader, special = gguf.GGUFReader(out), ours.special_tokens
    found = {
        key: reader.get_field(f"tokenizer.{key}").contents()
        for key in ("chat_template", "ggml.bos_token_id", "ggml.eos_token_id", "ggml.eot_token_id")
    }
    assert found == {
        "chat_template": CHATML,
        "ggml.bos_token_id": special[END],
        "ggml.eos_token_id": special[END],
        "ggml.eot_token_id": special["<|im_end|>"],
    }
    assert export(tmp_path / "run", "gguf", tmp_path / "plain.gguf") == 0
    plain = gguf.GGUFReader(tmp_path / "plain.gguf")
    assert plain.get_field("tokenizer.chat_template") is None
    assert plain.get_field("tokenizer.ggml.eot_token_id") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{% for m in messages %}\nb", "is no Jinja: line 3: .*endfor"),
        ("{{ messages | nonsense }}", "is no Jinja: line 1: No filter named 'nonsense'"),
        ("{{ raise_exception('Give a system prompt.') }}", "two messages: Give a system prompt"),
        ("{{ 1 / 0 }}", "two messages: ZeroDivisionError"),
        ("{{ messages[7].content }}", "two messages: .*has no element 7"),
        ("{{ messages.__class__.__mro__ }}", "two messages: access to attribute '__class__'"),
        ("{% for i in range(9999999) %}{% endfor %}", "two messages: Over.*Range too big"),
        ("{{ messages.append(1) }}", "two messages: .*append"),
        ("", "leaves out what is said"),
        ("{{ messages[0].content }}", "leaves out what is said: .*'It is four.'"),
    ],
)
def test_what_is_no_template_is_refused_and_leaves_nothing(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    run_of(tmp_path / "run")
    given = template(tmp_path, text)
    for to, out in (("hf", "out"), ("gguf", "out.gguf")):
        assert export(tmp_path / "run", to, tmp_path / out, "--chat-template", given) == 1
        said = capsys.readouterr().err
        assert re.search("the chat template .*" + told, said, re.DOTALL), said
    assert {path.name for path in tmp_path.iterdir()} == {"run", "chat.jinja"}


def test_where_there_is_no_place_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tmp_path / "run")
    given = template(tmp_path)
    for to in ("onnx", "nanogpt", "safetensors"):
        assert export(tmp_path / "run", to, tmp_path / "out", "--chat-template", given) == 1
        assert f"{to} has no place for a chat template, only hf and gguf" in capsys.readouterr().err
    missing = tmp_path / "nowhere.jinja"
    assert export(tmp_path / "run", "hf", tmp_path / "out", "--chat-template", missing) == 1
    assert "no chat template" in capsys.readouterr().err
    given.write_bytes(b"\xff\xfe")
    assert export(tmp_path / "run", "hf", tmp_path / "out", "--chat-template", given) == 1
    assert "is no text in UTF-8" in capsys.readouterr().err
    with pytest.raises(ValueError, match="goes with a tokenizer, and the run has none"):
        write(Source(ModelConfig(30, 8, 16, 1, 2).build()), "hf", tmp_path / "x", "fp32", CHATML)
    encoder = AnySource(EncoderConfig(vocab_size=261, d_model=16, num_heads=2).build(), tokenizer())
    with pytest.raises(ValueError, match="is for decoders, and not for encoder"):
        write(encoder, "hf", tmp_path / "x", "fp32", CHATML)
    assert not (tmp_path / "x").exists() and not (tmp_path / "out").exists()


def test_what_looks_like_a_special_token_and_is_none_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tmp_path / "run", tokenizer([END, "<|im_end|>"]))
    given = template(tmp_path)
    assert export(tmp_path / "run", "hf", tmp_path / "out", "--chat-template", given) == 0
    assert capsys.readouterr().err == (
        "note: the chat template writes <|im_start|>, which is no special token of the tokenizer: "
        "it is read as ordinary text, in several tokens\n"
    )
    turns = "{% for m in messages %}<s>[INST] {{ m.content }} [/INST]</s><b>{% endfor %}"
    [remark] = chat.check(turns, tokenizer(), {})
    assert "writes </s>, <s>, which are no special tokens" in remark, "others are plain text"
    assert chat.check(turns, tokenizer(["<s>", "</s>"]), {}) == []
    said = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert chat.check(said, tokenizer(), {}) == []
    # What someone says is nobody's template.
    assert chat.check(said + "{# <|user|> #}", tokenizer([]), {}) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (CHATML, "<|im_end|>"),
        ("{% for m in messages %}{{ m.content }} {{ eos_token }}{% endfor %}", END),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", None),
        ("{% for m in messages %}<|im_start|>{{ m.content }}\n{% endfor %}", None),
    ],
)
def test_what_ends_a_turn_is_behind_the_answer(text: str, wanted: str | None) -> None:
    ours = tokenizer()
    found = chat.end_of_turn(text, ours, {"eos_token": END})
    assert found == (None if wanted is None else ours.special_tokens[wanted])


#: What templates use that Jinja alone has not.
PROGRAMS = {
    "tojson": "{% for m in messages %}{{ m | tojson }}{{ [m.content] | tojson(indent=2) }}"
    "{% endfor %}",
    "loops that break": "{% for m in messages %}{{ m.content }}{% if loop.index == 2 %}{% break %}"
    "{% endif %}{% endfor %}",
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% endfor %}",
    "whitespace": "{% for m in messages %}\n  {% if true %}\n  {{ m.content }}\n  {% endif %}\n"
    "{% endfor %}",
    "namespaces and tokens": "{% set ns = namespace(n=0) %}{{ bos_token }}{% for m in messages %}"
    "{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m.content | trim }}{{ eos_token }}{% endfor %}",
    "nothing there": "{% if tools %}x{% endif %}{% if documents is defined and documents %}y"
    "{% endif %}{{ pad_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}",
    "ChatML": CHATML,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_rendered_it_is_what_transformers_renders(name: str, tmp_path: Path) -> None:
    hf.write(ModelConfig(261, 8, 16, 1, 2).build(seed=0), tokenizer(), tmp_path / "out")
    peer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    tokens = {"bos_token": END, "eos_token": END, "pad_token": None}
    for prompt in (False, True):
        wanted = peer.apply_chat_template(
            TALK, chat_template=PROGRAMS[name], tokenize=False, add_generation_prompt=prompt
        )
        found = chat.render(PROGRAMS[name], TALK, tokens, add_generation_prompt=prompt)
        assert found == wanted


def qwen(folder: Path) -> bl.Tokenizer:
    """A folder as Qwen 3's is: a template, several tokens that end, others that are shown."""
    ours = tokenizer([*SPECIAL, "<|pad|>", "<|object|>"])
    special = ours.special_tokens
    peer = make_peer("qwen3", vocab_size=ours.vocab_size)
    by_chance(peer)
    peer.config.eos_token_id, peer.config.bos_token_id = special["<|im_end|>"], special[END]
    peer.generation_config = transformers.GenerationConfig(
        eos_token_id=[special["<|im_end|>"], special[END]],
        bos_token_id=special[END],
        pad_token_id=special["<|pad|>"],
        temperature=0.6,
        do_sample=True,
    )
    peer.save_pretrained(folder)
    ours.save(folder / "tokenizer.json")
    parts = json.loads((folder / "tokenizer.json").read_text())
    for one in parts["added_tokens"]:
        one["special"] = "think" not in one["content"]
    (folder / "tokenizer.json").write_text(json.dumps(parts))
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        bos_token=None,
        additional_special_tokens=["<|im_start|>", "<|object|>"],
        clean_up_tokenization_spaces=False,
    )
    theirs.chat_template = CHATML
    theirs.save_pretrained(folder)
    return ours


def test_a_chat_model_goes_through_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = qwen(tmp_path / "theirs")
    argv = ["import", str(tmp_path / "theirs"), "-o", str(tmp_path / "run")]
    assert cli.main(argv) == 0
    assert "chat template kept" in capsys.readouterr().out
    assert (tmp_path / "run" / CHAT).read_text("utf-8") == CHATML
    assert export(tmp_path / "run", "hf", tmp_path / "out") == 0
    assert capsys.readouterr().err == ""
    before, after = (
        transformers.AutoTokenizer.from_pretrained(tmp_path / name) for name in ("theirs", "out")
    )
    for prompt in (False, True):
        how = {"add_generation_prompt": prompt, "return_dict": False}
        assert after.apply_chat_template(TALK, **how) == before.apply_chat_template(TALK, **how)
    roles = ("bos_token", "eos_token", "pad_token", "unk_token", "mask_token")
    assert {r: getattr(after, r) for r in roles} == {r: getattr(before, r) for r in roles}
    assert (after.eos_token, after.pad_token, after.bos_token) == ("<|im_end|>", "<|pad|>", None)
    assert set(after.all_special_tokens) == set(before.all_special_tokens)
    assert "<|object|>" in after.all_special_tokens
    # Thoughts are shown, the ends of turns are not.
    ids = ours.encode("<think>so</think>4<|im_end|>")
    found = after.decode(ids, skip_special_tokens=True)
    assert found == before.decode(ids, skip_special_tokens=True) == "<think>so</think>4"
    models = [
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / n) for n in ("theirs", "out")
    ]
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        wanted, found = (getattr(model.generation_config, key) for model in models)
        assert found == wanted, key
        wanted, found = (getattr(model.config, key) for model in models)
        assert found == wanted, key
    special = ours.special_tokens
    ends = [special["<|im_end|>"], special[END]]
    assert models[1].generation_config.eos_token_id == ends

    assert export(tmp_path / "run", "gguf", tmp_path / "out.gguf") == 0
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    keys = {"eos": "<|im_end|>", "eot": END, "padding": "<|pad|>"}
    for key, token in keys.items():
        field = reader.get_field(f"tokenizer.ggml.{key}_token_id")
        assert field is not None and field.contents() == special[token], key
    assert reader.get_field("tokenizer.ggml.bos_token_id") is None
    assert reader.get_field("tokenizer.chat_template").contents() == CHATML

    # Formats without a place for it are written all the same; another one takes its place.
    assert export(tmp_path / "run", "safetensors", tmp_path / "weights") == 0
    other = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    given = template(tmp_path, other)
    assert export(tmp_path / "run", "hf", tmp_path / "other", "--chat-template", given) == 0
    assert (tmp_path / "other" / CHAT).read_text() == other
    generation = json.loads((tmp_path / "other" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == ends


def test_it_stops_writing_where_its_folder_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qwen(tmp_path / "theirs")
    assert cli.main(["import", str(tmp_path / "theirs"), "-o", str(tmp_path / "run")]) == 0
    asked: list[list[str]] = []
    monkeypatch.setattr(
        "byteloom.generation.stream_text", lambda *_, stop, **__: asked.append(stop) or []
    )
    argv = ["generate", str(tmp_path / "run"), "--prompt", "a", "--device", "cpu"]
    for more in ([], ["--stop", ""], ["--stop", "<think>"]):
        assert cli.main([*argv, *more]) == 0
    (tmp_path / "run" / ROLES).unlink()
    assert cli.main(argv) == 0
    assert [sorted(stops) for stops in asked] == [[END, "<|im_end|>"], [], ["<think>"], [END]]


def test_a_run_that_begins_with_it_has_the_same(tmp_path: Path) -> None:
    ours = qwen(tmp_path / "theirs")
    assert cli.main(["import", str(tmp_path / "theirs"), "-o", str(tmp_path / "run")]) == 0
    make_data(tmp_path)
    argv = [
        str(tmp_path / "run/config.toml"), f"--data.train={tmp_path / 'train.npy'}",
        f"--training.start={tmp_path / 'run'}", "--training.steps=1", "--training.batch_size=1",
        "--model.context_length=32", "--logging.sample_tokens=0", "--training.device=cpu",
    ]  # fmt: skip
    assert train_lm.main([*argv, "-o", str(tmp_path / "tuned")]) == 0
    tuned = open_run(tmp_path / "tuned")
    assert tuned.chat_template == CHATML and tuned.roles.tokens["eos_token"] == "<|im_end|>"
    # Of another tokenizer nobody knows what is for what.
    other = tokenizer([*SPECIAL, "<|other|>", "<|object|>"])
    assert other.vocab_size == ours.vocab_size
    other.save(tmp_path / "other.json")
    more = [f"--data.tokenizer={tmp_path / 'other.json'}", "-o", str(tmp_path / "changed")]
    assert train_lm.main([*argv, *more]) == 0
    changed = open_run(tmp_path / "changed")
    assert changed.chat_template == "" and changed.kept is None


def forms(folder: Path, chat_template: Any, beside: dict[str, str] | None = None) -> None:
    """The template where it was before it had a file of its own."""
    (folder / "chat_template.jinja").unlink()
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": chat_template}))
    for name, text in (beside or {}).items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "tools.jinja").write_text(text)


def test_templates_of_older_folders_are_read(tmp_path: Path) -> None:
    qwen(tmp_path)
    assert importing.read(tmp_path).chat_template == CHATML
    forms(tmp_path, CHATML)
    found = importing.read(tmp_path)
    assert found.chat_template == CHATML and found.remarks == ()
    several = [{"name": "default", "template": CHATML}, {"name": "rag", "template": "x"}]
    (tmp_path / "chat_template.jinja").touch()
    forms(tmp_path, several, {"additional_chat_templates": "y"})
    found = importing.read(tmp_path)
    assert found.chat_template == CHATML
    [remark] = found.remarks
    assert remark == "of its chat templates only the default one is kept, not tools, rag"
    assert importing.read(tmp_path, with_tokenizer=False).chat_template == ""


def test_a_kept_template_that_fails_here_goes_out_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    qwen(tmp_path / "theirs")
    (tmp_path / "theirs" / CHAT).write_text("{{ raise_exception('tools are missing') }}")
    assert cli.main(["import", str(tmp_path / "theirs"), "-o", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert export(tmp_path / "run", "hf", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "note: kept as it came, but the chat template fails on two messages: tools are" in said
    assert "raise_exception" in (tmp_path / "out" / CHAT).read_text()


def test_without_jinja_a_kept_template_goes_out_untried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    model = ModelConfig(len(SPECIAL) + 256, 16, 16, 1, 2).build()
    source = Source(model.eval(), tokenizer(), chat_template=CHATML)
    [remark] = write(source, "hf", tmp_path / "out")
    assert remark == "the chat template is kept as it came, untried: that takes jinja2"
    assert (tmp_path / "out" / CHAT).read_text() == CHATML
    with pytest.raises(ImportError, match="chat templates need jinja2: pip install jinja2"):
        write(source, "hf", tmp_path / "other", chat_template=CHATML)
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_kept_is_told_of(tmp_path: Path) -> None:
    ours = qwen(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings |= {"unk_token": "!", "pad_token": {"content": "<|pad|>", "lstrip": False}}
    path.write_text(json.dumps(settings))
    path = tmp_path / "generation_config.json"
    settings = json.loads(path.read_text())
    settings |= {"eos_token_id": [3, 999, True], "pad_token_id": -1}
    path.write_text(json.dumps(settings))
    found, remarks = of_folder(tmp_path, ours.vocab_size, ours)
    assert found is not None
    assert found.tokens["unk_token"] is None and found.tokens["pad_token"] == "<|pad|>"
    assert found.generation["eos_token_id"] == [3] and found.generation["pad_token_id"] is None
    assert remarks == [
        "generation has eos_token_id [3, 999, True], which is no id of the model: left out",
        "unk_token is '!', which is no special token here: left out",
    ]


def test_what_a_run_keeps_can_be_read_again(tmp_path: Path) -> None:
    from byteloom.export.hf import roles

    kept = Roles({"eos_token": "é"}, {"eos_token_id": 3}, {"eos_token_id": [3, 4]}, ("a",), ("b",))
    (tmp_path / ROLES).write_text(kept.to_json(), "utf-8")
    assert roles.read(tmp_path / ROLES) == kept
    assert kept.ending(4, 5).generation["eos_token_id"] == [3, 4, 5]
    assert Roles().ending(7).generation == {"eos_token_id": 7}
    (tmp_path / ROLES).write_text('{"token": {}}')
    with pytest.raises(ValueError, match=r"special_tokens\.json does not say what special tokens"):
        roles.read(tmp_path / ROLES)


def test_a_folder_without_tokenizer_keeps_its_ids(tmp_path: Path) -> None:
    ours = qwen(tmp_path / "theirs")
    argv = ["import", str(tmp_path / "theirs"), "-o", str(tmp_path / "run"), "--tokenizer", "none"]
    assert cli.main(argv) == 0
    assert export(tmp_path / "run", "hf", tmp_path / "out") == 0
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    special = ours.special_tokens
    assert generation["eos_token_id"] == [special["<|im_end|>"], special[END]]
    assert not (tmp_path / "out" / CHAT).exists()
    # With a tokenizer of one's own, its names tell.
    tokenizer([END]).save(tmp_path / "own.json")
    argv[3], argv[5] = str(tmp_path / "own"), str(tmp_path / "own.json")
    assert cli.main(argv) == 0
    assert open_run(tmp_path / "own").roles.generation["eos_token_id"] == 256

"""Multiple-choice questions: byteloom's figures are those of lm-eval, by the run's export."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import byteloom as bl
from byteloom.cli import train_lm
from byteloom.cli.eval import main
from byteloom.export import open_run, write
from tiny_run import write_toml

END = "<|endoftext|>"
TEXT = "red green blue round large small old new warm cold sky grass sun stone river is the"
WORDS = TEXT.split()


def sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def row(chance: random.Random, i: int) -> dict[str, Any]:
    """A question; among them long ones, and such as begin or end in an unusual way."""
    choices = [sentence(chance, chance.randint(1, 4)) for _ in range(4)]
    context = f"Question: what is {sentence(chance, 3)}?\nAnswer:"
    odd = {
        1: (sentence(chance, 90), choices),
        3: (f"{context}  ", choices),
        4: (f"{context} \n", choices),
        5: (context, ["a", "b", "c", "d"]),
        6: ("", choices),
        7: ("Größe und Straße: ", ["der Fluß", "日本", "naïve façade 🙂", "x"]),
        8: (context, ["red", "red", "blue red", "blue"]),
        9: (f"{END}{context}", choices),
        10: (sentence(chance, 61), [sentence(chance, 50), *choices[1:]]),
    }
    context, choices = odd.get(i, (context, choices))
    return {"context": context, "choices": choices, "answer": i % 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model is Llama's: pairs of rotary positions half a head apart."""
    folder, chance = tmp_path_factory.mktemp("lm_eval"), random.Random(0)
    text = folder / "text.txt"
    text.write_text("".join(sentence(chance, 12) + f".\n{END}" for _ in range(300)))
    tokenizer = bl.train_bpe(text, 330, [END])
    tokenizer.save(folder / "tokenizer.json")
    ids = np.array(tokenizer.encode(text.read_text()), dtype=np.uint16)
    np.save(folder / "train.npy", ids)
    np.save(folder / "valid.npy", ids[:500])
    model = {"num_layers": 2, "context_length": 64, "position": {"layout": "half"}}
    schedule = {"max_lr": 1e-2, "min_lr": 1e-3, "warmup_steps": 2}
    toml = write_toml(folder, model=model, schedule=schedule, training={"steps": 30})
    assert train_lm.main([str(toml), "-o", str(folder / "run")]) == 0
    for name, count in (("test", 24), ("examples", 9)):
        rows = [row(chance, i if name == "test" else 0) for i in range(count)]
        lines = [json.dumps(one, ensure_ascii=i % 2 == 0) for i, one in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def without_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval imports accelerate, which it does not use for a model that it is handed."""
    if importlib.util.find_spec("accelerate") is None:
        utils = ModuleType("accelerate.utils")
        utils.get_max_memory = None
        stub = ModuleType("accelerate")
        stub.Accelerator = stub.InitProcessGroupKwargs = None
        stub.find_executable_batch_size = lambda **_: lambda function: function
        monkeypatch.setitem(sys.modules, "accelerate", stub)
        monkeypatch.setitem(sys.modules, "accelerate.utils", utils)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("own_examples", [True, False])
def test_figures_are_those_of_lm_eval(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    own_examples: bool,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    datasets = pytest.importorskip("datasets")
    from lm_eval import evaluator
    from lm_eval.api.task import ConfigurableTask
    from transformers import AutoTokenizer, LlamaForCausalLM

    # Here, as transformers looks for accelerate when it is imported.
    if not (folder / "hf").exists():
        write(open_run(folder / "run"), "hf", folder / "hf")
    peer = LlamaForCausalLM.from_pretrained(folder / "hf").eval()
    without_accelerate(monkeypatch)
    from lm_eval.models.huggingface import HFLM

    tokenizer = AutoTokenizer.from_pretrained(folder / "hf")
    with warnings.catch_warnings(action="ignore"):
        judge = HFLM(pretrained=peer, tokenizer=tokenizer, batch_size=5, device="cpu")
    rows = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("test", "examples")
    }
    for shots in (0, 1, 5):
        settings = {
            "task": "colours",
            "custom_dataset": lambda **_: {
                name: datasets.Dataset.from_list(found) for name, found in rows.items()
            },
            "test_split": "test",
            "fewshot_split": "examples" if own_examples else "test",
            "output_type": "multiple_choice",
            "doc_to_text": "context",
            "doc_to_choice": "choices",
            "doc_to_target": "answer",
            "num_fewshot": shots,
            "metric_list": [
                {"metric": name, "aggregation": "mean", "higher_is_better": True}
                for name in ("acc", "acc_norm", "acc_bytes")
            ],
        }
        task = ConfigurableTask(config=settings)
        task.set_fewshot_seed(1234)  # what lm-eval does if nothing else is asked for
        theirs = evaluator.evaluate(judge, {"colours": task}, bootstrap_iters=0)
        command = [str(folder / "run"), "--choices", str(folder / "test.jsonl"), "--json"]
        command += ["--shots", str(shots), "--batch-size", "7"]
        command += ["--examples", str(folder / "examples.jsonl")] if own_examples and shots else []
        capsys.readouterr()
        assert main(command) == 0
        ours = json.loads(capsys.readouterr().out)
        samples = sorted(theirs["samples"]["colours"], key=lambda one: one["doc_id"])
        assert len(samples) == len(ours["answers"]) == 24
        for sample, answer in zip(samples, ours["answers"], strict=True):
            want = [float(response[0]) for response in sample["filtered_resps"]]
            assert answer["log_likelihoods"] == pytest.approx(want, abs=1e-4), sample["doc"]
        for name in ("acc", "acc_norm", "acc_bytes"):
            assert ours[name] == theirs["results"]["colours"][f"{name},none"]

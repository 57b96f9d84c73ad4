"""The page: well-formed, all in one file, nothing dangerous, the numbers of the metrics."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from byteloom import __version__
from byteloom.plotting import COLOURS
from byteloom.reporting import Figures, Run, write_report
from byteloom.reporting.run import LONGEST_SAMPLE
from made_up_runs import Page, make_run, records, write_checkpoint

#: Attributes that make a browser fetch something.
FETCHING = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"}
#: What is drawn as one plot.
SHORT = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}]
ALL = ["loss", "valid_loss", "learning_rate", "grad_norm", "tokens_per_second", "epoch"]


def read(path: Path) -> Page:
    """A page, after what is true of all."""
    text = path.read_text("utf-8")
    page = Page(text)
    names = [name for name, _ in page.elements]
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(names)
    assert "://" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.S)
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in FETCHING or (value or "").startswith("#"), (name, value)
            for target in re.findall(r"url\((.*?)\)", value or ""):
                assert target.startswith("#")
    assert "@import" not in page.text("style") and "url(" not in page.text("style")
    # Names are unique, and what is referred to is there.
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^)"]*)', text)
    assert targets and set(targets) <= set(ids)
    # For those who cannot see it.
    assert page.all("html")[0]["lang"] == "en"
    assert names.count("h1") == 1
    for svg in page.all("svg"):
        assert svg["role"] == "img" and len(svg["aria-label"] or "") > 20
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    assert "width=device-width" in text and "prefers-color-scheme: dark" in text
    assert f"byteloom {__version__}" in page.text("header")
    return page


def names(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "report").iterdir()}


def test_one_run(tmp_path: Path) -> None:
    lines = records()
    run = make_run(tmp_path / "run", lines, sample="\n\ndef f(x):\n\treturn x & 1 < 2\n")
    write_checkpoint(run, 20, {"model.a": [9, 9]})
    write_checkpoint(run, 40, {"model.a": [3, 4], "model.b": [5], "optimizer.state.0": [3, 4]})
    report = write_report([run])
    assert report.page == run / "report.html"
    assert report.plots == tuple(run / "report" / f"{name}.png" for name in ALL)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in report.plots)
    assert {path.name for path in run.iterdir()} == {
        "config.toml", "metrics.jsonl", "sample.txt", "checkpoints", "report", "report.html",
    }  # fmt: skip

    page = read(report.page)
    training = [line for line in lines if "loss" in line]
    losses = {line["step"]: line["valid_loss"] for line in lines if "valid_loss" in line}
    best = min(losses, key=lambda step: losses[step])
    speed = statistics.median(line["tokens_per_second"] for line in training)
    assert page.rows() == {
        "": ["run"],
        "steps": ["40"],
        "tokens": [f"{40 * 1024:,}"],
        "epochs": ["0.4"],
        "parameters": ["17"],
        "training loss, last": [f"{training[-1]['loss']:.4f}"],
        "validation loss, last": [f"{losses[40]:.4f}"],
        "validation loss, best": [f"{losses[best]:.4f}"],
        "best at step": [f"{best}"],
        "perplexity, last": [f"{math.exp(losses[40]):.2f}"],
        "perplexity, best": [f"{math.exp(losses[best]):.2f}"],
        "time": ["20.2 s"],
        "tokens/s, median": [f"{speed:,.0f}"],
    }
    assert best == 24
    assert len(page.all("svg")) == len(ALL)
    assert (
        page.text("pre")
        == "\n\n\ndef f(x):\n\treturn x & 1 < 2\n" + "\n[training]\nsteps = 40\nseed = 0\n"
    )
    (described,) = (
        s["aria-label"] for s in page.all("svg") if "Loss by" in (s["aria-label"] or "")
    )
    assert described is not None
    assert f"training: from {training[0]['loss']:.4g} to {training[-1]['loss']:.4g}" in described
    assert f"validation: from {losses[8]:.4g} to {losses[40]:.4g}" in described
    assert "Run run" in page.text("title") and "note" not in page.text("main")


def test_figures_are_exactly_those_of_the_metrics(tmp_path: Path) -> None:
    extra = [
        {"mfu": 0.25, "memory_bytes": 5 * 10**9 - step, "skipped": step // 3} for step in range(9)
    ]
    training = [line for line in records() if "loss" in line]
    lines = [line | more for line, more in zip(training, extra, strict=False)]
    figures = Figures.of(Run.open(make_run(tmp_path / "run", lines))).as_json()
    assert figures == {
        "steps": 18, "planned_steps": 40, "tokens": 18 * 1024, "epochs": 0.18, "parameters": None,
        "loss": lines[-1]["loss"], "valid_loss": None, "best_valid_loss": None, "best_step": None,
        "perplexity": None, "best_perplexity": None, "seconds": 9.0,
        "tokens_per_second": statistics.median(line["tokens_per_second"] for line in lines),
        "mfu": 0.25, "memory_bytes": 5 * 10**9, "skipped": 2,
    }  # fmt: skip


def test_several_runs_share_each_plot(tmp_path: Path) -> None:
    toml = '[model]\nd_model = 64\n[training]\nsteps = 40\nseed = {}\n[data]\ntrain = "a&b.npy"\n'
    first = make_run(tmp_path / "first", records(), toml.format(0), "one")
    second = make_run(tmp_path / "second", records(evaluate=0), toml.format(1) + "extra = [1, 2]")
    report = write_report([first, second], tmp_path / "both")
    assert report.page == tmp_path / "both" / "report.html"
    assert not (first / "report.html").exists()
    page = read(report.page)
    rows = page.rows()
    assert rows[""] == ["first", "second"]
    assert rows["validation loss, last"] == [f"{records()[-1]['valid_loss']:.4f}", "–"]
    assert rows["training.seed"] == ["0", "1"]
    assert rows["data.extra"] == ["–", "[1, 2]"]
    assert not {"model.d_model", "training.steps", "data.train"} & set(rows)
    assert page.text("details").count('train = "a&b.npy"') == 2
    assert "second: no validation was made." in page.text("li")
    assert page.text("section").count("There is no sample") == 1
    # A legend of both in each plot but that of the validation loss; the same colour everywhere.
    legends = [text for around, text in page.texts if "svg" in around and text == "second"]
    assert len(legends) == len(ALL) - 1
    swatches = [s["style"] for s in page.all("span") if s.get("class") == "swatch"]
    assert swatches == [f"background: {colour}" for colour in COLOURS[:2]] * 2


def test_runs_that_are_the_same(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / side / "run", SHORT) for side in ("left", "right")]
    page = read(write_report(runs, tmp_path / "both").page)
    assert page.rows()[""] == ["left/run", "right/run"]
    assert "The runs have the same configuration." in page.text("p")
    with pytest.raises(ValueError, match="run is given twice"):
        write_report([runs[0], tmp_path / "left" / ".." / "left" / "run"], tmp_path / "both")


@pytest.mark.parametrize(
    ("lines", "tail", "says", "plots"),
    [
        (None, b"", "No metrics are written down yet.", set()),
        ([], b'{"step": 2, "lo', "No metrics are written down yet.", set()),
        (records(20), b'{"step": 22, "lo', "Not finished: 20 of 40 steps", set(ALL)),
        (SHORT, b'{"step": 22, "lo', "last line of metrics.jsonl is incomplete", {"loss"}),
        (SHORT, b"", "No validation was made.", {"loss"}),
        ([{"step": 1, "valid_loss": 5.0}], b"", "1 of 40", {"loss", "valid_loss"}),
        ([{"step": 1, "loss": 5.0}], b"", "1 of 40", {"loss"}),
        ([{"step": 2, "loss": 2.0}, {"step": 4, "loss": math.nan}, {"step": 6, "loss": math.inf}],
         b"", "not finite in 2 of 3 records, first at step 4.", {"loss"}),
        ([{"step": 2, "loss": math.nan}], b"", "in 1 of 1 records", set()),
        ([{"step": s, "grad_norm": n} for s, n in enumerate([0.0, 1e-3, 2e5, math.inf])],
         b"", "3 of 40", {"grad_norm"}),
        ([{"step": 2, "grad_norm": 0.0, "loss": -3.5, "valid_loss": 900.0}],
         b"", "2 of 40", {"loss", "valid_loss"}),
        ([{"step": s, "tokens_per_second": 0, "learning_rate": 0.0, "loss": 2.0} for s in (1, 2)],
         b"", "2 of 40", {"tokens_per_second", "learning_rate", "loss"}),
    ],
)  # fmt: skip
def test_runs_that_are_not_whole(
    tmp_path: Path, lines: list[dict[str, Any]] | None, tail: bytes, says: str, plots: set[str]
) -> None:
    run = make_run(tmp_path / "run", lines, tail=tail)
    report = write_report([run])
    page = read(report.page)
    assert says in page.text("li")
    assert "There is no sample" in page.text("p")
    assert {path.stem for path in report.plots} == plots == (names(run) if plots else set())
    assert len(page.all("svg")) == len(plots)
    assert ("nothing to plot" in page.text("p")) == (not plots)


def test_keys_to_come(tmp_path: Path) -> None:
    extra = {"mfu": 0.4, "memory_bytes": 21_300_000_000, "loss_scale": 65536.0, "skipped": 1,
             "router/z<loss>": 0.5, "router_z_loss_": 2, "": 1, "k" * 300: 1}  # fmt: skip
    run = make_run(tmp_path / "run", [line | extra for line in SHORT])
    report = write_report([run])
    page = read(report.page)
    assert names(run) == {
        "loss", "mfu", "memory_bytes", "loss_scale", "skipped",
        "router_z_loss_", "router_z_loss__", "_", "k" * 80,
    }  # fmt: skip
    assert {"router/z<loss>", "Memory"} <= {text for around, text in page.texts if "h3" in around}
    rows = page.rows()
    assert rows["peak memory"] == ["21.3 GB"] and rows["MFU, median"] == ["40.0%"]
    assert rows["skipped steps"] == ["1"]


EVIL = '<script>alert("1")</script>&amp;\'" $x_1$ --> ]]>'


def test_nothing_dangerous_gets_through(tmp_path: Path) -> None:
    name = EVIL.replace("/", "∕")
    toml = "[training]\nsteps = 40\n[data]\ntrain = '''" + EVIL + "x'''\n"
    run = make_run(tmp_path / name, SHORT, toml, f"{EVIL}\0\x1b[0m</pre>")
    other = make_run(tmp_path / "_other\n", [{"step": 1, EVIL: 2, "loss": 3}], toml + "\n[a]")
    page = read(write_report([run, other], tmp_path / "out").page)
    assert f"{EVIL}␀␛[0m</pre>" in page.text("pre")
    assert page.rows()[""] == [name, "_other␊"]
    assert EVIL in page.text("h3") and toml in page.text("details")
    texts = [text for around, text in page.texts if "svg" in around]
    # As they are in the legend, $ and _ included.
    assert any(text.startswith("<script>alert(") for text in texts)
    assert "\u200b_other␊" in texts
    read(write_report([run]).page)


def test_names_that_are_no_utf8_and_long_samples(tmp_path: Path) -> None:
    run = make_run(tmp_path / "bad\udcffname", SHORT, sample="ü" * (LONGEST_SAMPLE + 5))
    page = read(write_report([run]).page)
    assert page.rows()[""] == ["bad\ufffdname"]
    assert page.text("pre").count("ü") == LONGEST_SAMPLE


@pytest.mark.parametrize("axis", ["step", "tokens", "seconds"])
def test_axes(tmp_path: Path, axis: Any) -> None:
    lines = [
        {key: line[key] for key in line if key in ("step", "loss", "valid_loss", "tokens")}
        | {"seconds": 200 * line["step"]}
        for line in records()
    ]
    run = make_run(tmp_path / "run", lines)
    page = read(write_report([run], axis=axis).page)
    labels = {text for around, text in page.texts if "svg" in around}
    assert {"step": "step", "tokens": "tokens", "seconds": "time, hours"}[axis] in labels
    assert len(page.all("svg")) == 2
    run = make_run(tmp_path / "bare", [{"step": 1, "loss": 2.0}])
    page = read(write_report([run], axis=axis).page)
    assert ("nothing to plot" in page.text("p")) == (axis != "step")


def test_many_runs_and_many_records(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"run-{i}", SHORT) for i in range(9)]
    long = [{"step": line["step"], "loss": line["loss"]} for line in records(12_000, 1, 0)]
    runs.append(make_run(tmp_path / "long", long))
    report = write_report(runs, tmp_path / "all")
    page = read(report.page)
    assert len(page.rows()["steps"]) == 10 and page.text("h1").endswith("run-3, …")
    assert report.page.stat().st_size < 300_000


def damage(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(data)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda run: (run / "config.toml").unlink(), FileNotFoundError, "run is no run: it lacks"),
        (damage("config.toml", b"[tra"), ValueError, "config.toml is not valid TOML"),
        (damage("config.toml", b"a = '\xff'"), ValueError, "config.toml is not valid TOML"),
        (damage("metrics.jsonl", b"{\n{}\n"), ValueError, "metrics.jsonl, line 1 is no record"),
    ],
)  # fmt: skip
def test_damaged_runs(
    tmp_path: Path, change: Callable[[Path], object], error: type[Exception], message: str
) -> None:
    run = make_run(tmp_path / "run", SHORT)
    (run / "report.html").write_text("old")
    change(run)
    with pytest.raises(error, match=message):
        write_report([run])
    assert (run / "report.html").read_text() == "old" and not (run / "report").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 20, b"\x02" + bytes(7) + b"[]", b"\x04" + bytes(7) + b"null"]
)
def test_a_damaged_checkpoint_is_not_counted(tmp_path: Path, data: bytes) -> None:
    run = make_run(tmp_path / "run", SHORT)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "step-000006.safetensors").write_bytes(data)
    assert Run.open(run).parameters is None


def test_refusals(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", SHORT)
    with pytest.raises(FileNotFoundError, match=r"no run folder .*nowhere"):
        write_report([tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to make out in"):
        write_report([run], tmp_path / "nowhere" / "out")
    with pytest.raises(ValueError, match="a report of 2 runs needs a folder"):
        write_report([run, run])

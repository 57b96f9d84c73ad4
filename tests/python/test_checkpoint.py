from __future__ import annotations

import io
import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from byteloom import checkpoint
from byteloom.checkpoint import Checkpoint, file

OPTIMIZERS: list[Callable[..., torch.optim.Optimizer]] = [
    lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.8, 0.9)),
    lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
    lambda p: torch.optim.SGD(p, lr=1e-2),
    lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-2), amsgrad=True),
    lambda p: torch.optim.RMSprop(p, lr=1e-2, centered=True),
]


def make(seed: int, build: Callable[..., Any] = OPTIMIZERS[0], width: int = 5) -> Any:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1, bias=False))
    groups = [
        {"params": list(model[0].parameters()), "weight_decay": 0.1},
        {"params": [*model[2].parameters()]},
    ]
    return model, build(groups)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        x = torch.randn(8, 4, generator=generator)
        optimizer.zero_grad()
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("build", OPTIMIZERS)
@pytest.mark.parametrize("to_file", [True, False])
def test_training_goes_on_to_the_same_bits(
    build: Callable[..., Any], to_file: bool, tmp_path: Path
) -> None:
    model, optimizer = make(0, build)
    steps(model, optimizer, 5)
    out: Any = tmp_path / "a.safetensors" if to_file else io.BytesIO()
    checkpoint.save(model, optimizer, 5, out)
    if not to_file:
        out.seek(0)
    other, other_optimizer = make(1, build)
    assert checkpoint.load(out, other, other_optimizer) == 5
    if to_file:
        out.unlink()  # what was loaded stands on its own
    for _ in range(2):
        for a, b in zip(model.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)
        assert (
            optimizer.state_dict()["param_groups"] == other_optimizer.state_dict()["param_groups"]
        )
        steps(model, optimizer, 3)
        steps(other, other_optimizer, 3)


def test_a_path_may_be_a_string_and_the_optimizer_may_be_left_out(tmp_path: Path) -> None:
    model, optimizer = make(0)
    path = str(tmp_path / "a.safetensors")
    checkpoint.save(model, optimizer, 3, path)
    other, _ = make(1)
    assert checkpoint.load(path, other) == 3 == checkpoint.load(path)
    assert torch.equal(other[0].weight, model[0].weight)


def test_a_file_object_is_read_from_where_it_stands() -> None:
    model, optimizer = make(0)
    file = io.BytesIO(b"header")
    file.seek(6)
    checkpoint.save(model, optimizer, 3, file)
    file.seek(6)
    assert checkpoint.load(file, *make(1)) == 3


def test_it_is_a_safetensors_file_like_any_other(tmp_path: Path) -> None:
    model, optimizer = make(0)
    steps(model, optimizer, 1)
    path = tmp_path / "a.safetensors"
    checkpoint.save(model, optimizer, 9, path)
    found = safetensors.torch.load_file(path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(found[f"model.{name}"], tensor)
    with safetensors.safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["byteloom"])
    assert header["iteration"] == 9 and header["optimizer_class"] == "AdamW"


def test_shared_strided_empty_and_narrow_tensors_are_kept() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "tied": base,
        "also": base,
        "transposed": base.T,
        "sliced": base[1:, ::2],
        "half": base.bfloat16(),
        "single": base.half(),
        "double": base.double(),
        "byte": base.to(torch.uint8),
        "flag": base > 3,
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
    }
    file = io.BytesIO()
    checkpoint.write(Checkpoint(iteration=0, model=tensors), file)
    file.seek(0)
    found = checkpoint.read(file).model
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
nested = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), nested, max_size=4))
def test_any_nested_state_comes_back_as_it_was(state: dict[str, Any]) -> None:
    file = io.BytesIO()
    checkpoint.write(Checkpoint(iteration=1, model={}, state=state), file)
    file.seek(0)
    found = checkpoint.read(file).state
    assert found == state and repr(found) == repr(state)


def test_tensors_may_stand_anywhere_in_the_state() -> None:
    state = {"generators": {"cpu": torch.get_rng_state()}, "list": [1, (torch.tensor(2.5), "x")]}
    file = io.BytesIO()
    checkpoint.write(Checkpoint(iteration=1, model={}, state=state), file)
    file.seek(0)
    found = checkpoint.read(file).state
    assert torch.equal(found["generators"]["cpu"], torch.get_rng_state())
    assert found["list"][1] == (torch.tensor(2.5), "x")


def test_what_it_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"state\.a\.1: a checkpoint cannot hold object"):
        checkpoint.write(
            Checkpoint(iteration=1, model={}, state={"a": [1, object()]}), io.BytesIO()
        )
    with pytest.raises(TypeError, match=r"model\.a: a checkpoint cannot hold torch\.complex64"):
        checkpoint.write(
            Checkpoint(iteration=1, model={"a": torch.zeros(2, dtype=torch.complex64)}),
            io.BytesIO(),
        )


def test_a_compiled_model_saves_under_its_plain_names() -> None:
    model, optimizer = make(0)
    compiled = torch.compile(model, backend="eager")
    file = io.BytesIO()
    checkpoint.save(compiled, optimizer, 1, file)
    file.seek(0)
    other = make(1)[0]
    checkpoint.load(file, torch.compile(other, backend="eager"))
    assert torch.equal(other[0].weight, model[0].weight)


# -- bad input ------------------------------------------------------------------------------------


def test_a_file_cut_anywhere_is_refused_by_name(tmp_path: Path) -> None:
    model, optimizer = make(0)
    steps(model, optimizer, 1)
    path = tmp_path / "a.safetensors"
    checkpoint.save(model, optimizer, 1, path)
    whole = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for size in {*range(0, len(whole), 97), 7, 8, 9, len(whole) - 1}:
        cut.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut\.safetensors"):
            checkpoint.load(cut, model, optimizer)
        with pytest.raises(ValueError, match="the file object"):
            checkpoint.load(io.BytesIO(whole[:size]), model, optimizer)


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="the file object"):
        checkpoint.load(io.BytesIO(data))


def test_files_that_are_no_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        checkpoint.load(tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="is a folder"):
        checkpoint.load(tmp_path)
    plain_file = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, plain_file)
    with pytest.raises(ValueError, match="no checkpoint of byteloom"):
        checkpoint.load(plain_file)
    pickled = tmp_path / "pickled.pt"
    torch.save({"a": torch.zeros(2)}, pickled)
    with pytest.raises(ValueError, match=r"pickled\.pt is cut short, damaged or no checkpoint"):
        checkpoint.load(pickled)
    for text in ("{}", "no json", '{"format_version": 1}', "[1]"):
        safetensors.torch.save_file({}, plain_file, {"byteloom": text})
        with pytest.raises(ValueError, match=r"plain\.safetensors cannot be read as a checkpoint"):
            checkpoint.load(plain_file)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "FORMAT_VERSION", 2)
    checkpoint.save(*make(0), 1, tmp_path / "a.safetensors")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"its format is 2, this byteloom .* reads up to 1"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_another_model_is_refused_with_the_differences(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(*make(0), 1, path)
    with pytest.raises(
        ValueError,
        match=r"a\.safetensors is .* of another model: 0\.weight has "
        r"shape \(5, 4\), the model's \(6, 4\)",
    ):
        checkpoint.load(path, *make(0, width=6))
    bigger = nn.Sequential(*make(0)[0], nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"lacks 3\.weight; lacks 3\.bias"):
        checkpoint.load(path, bigger)
    before = [p.clone() for p in bigger.parameters()]
    with pytest.raises(ValueError, match=r"has 2\.weight, which the model lacks"):
        checkpoint.load(path, nn.Sequential(nn.Linear(4, 5)))
    assert all(torch.equal(a, b) for a, b in zip(before, bigger.parameters(), strict=True))


def test_another_optimizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    model, optimizer = make(0)
    steps(model, optimizer, 1)
    checkpoint.save(model, optimizer, 1, path)
    with pytest.raises(ValueError, match="holds the state of AdamW, not of SGD"):
        checkpoint.load(path, model, torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="state of 3 parameters, not 1"):
        checkpoint.load(path, model, torch.optim.AdamW([model[0].weight]))
    with pytest.raises(ValueError, match="is of another optimizer"):
        checkpoint.load(path, model, torch.optim.AdamW(model.parameters()))
    with pytest.raises(ValueError, match=r"exp_avg of parameter 0 has shape \(5, 4\)"):
        checkpoint.load(path, None, make(0, width=6)[1])
    checkpoint.save(model, None, 1, path)
    with pytest.raises(ValueError, match="holds no optimizer state"):
        checkpoint.load(path, model, optimizer)


# -- atomic ---------------------------------------------------------------------------------------


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A full disk, as far as one process can make one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    model, optimizer = make(0, width=5000)
    checkpoint.save(model, optimizer, 1, path)
    before = path.read_bytes()
    steps(model, optimizer, 1)
    with file_size_limit(50_000), pytest.raises(OSError):
        checkpoint.save(model, optimizer, 2, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert checkpoint.load(path, *make(1, width=5000)) == 1


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        checkpoint.save(*make(0), 1, tmp_path / "nowhere" / "a.safetensors")


def test_any_flipped_bit_of_a_tensor_is_noticed(tmp_path: Path) -> None:
    model, path = torch.nn.Linear(3, 2), tmp_path / "a.safetensors"
    checkpoint.save(model, None, 1, path)
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    for at in range(begin, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="checksum of model"):
            checkpoint.read(path)


def test_any_flipped_bit_of_the_rest_is_noticed_or_says_nothing(tmp_path: Path) -> None:
    model, path = torch.nn.Linear(3, 2), tmp_path / "a.safetensors"
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    written = Checkpoint.of(model, optimizer, 500, state={"best": [1.25, 3]}, config={"a": 7})
    checkpoint.write(written, path)
    data = path.read_bytes()
    refused = 0
    for at in range(8 + int.from_bytes(data[:8], "little")):
        for bit in (1 << at % 7, 1 << (at + 3) % 7):
            damaged = bytearray(data)
            damaged[at] ^= bit
            path.write_bytes(damaged)
            try:
                found = checkpoint.read(path)
            except ValueError:
                refused += 1
                continue
            assert (found.iteration, found.state, found.config) == (500, written.state, {"a": 7})
            assert all(torch.equal(found.model[k], v) for k, v in written.model.items())
            assert repr(found.optimizer) == repr(written.optimizer)
    assert refused > 0.9 * 2 * at, "hardly anything in a header says nothing"


def test_files_without_a_checksum_of_the_header_are_read(tmp_path: Path) -> None:
    tensors = {"model.a": torch.ones(2)}
    header = {"format_version": 1, "byteloom_version": "0", "iteration": 3, "config": {}}
    header |= {"tokenizer": "", "optimizer_class": "", "optimizer": None, "state": {"$dict": []}}
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(tensors, path, {"byteloom": json.dumps(header)})
    assert checkpoint.read(path).iteration == 3

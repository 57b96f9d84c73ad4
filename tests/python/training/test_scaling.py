from __future__ import annotations

from byteloom.training.scaling import LossScale


def test_it_falls_at_once_and_rises_when_all_went_well_for_long() -> None:
    scale = LossScale(value=1024.0, patience=3)
    values = []
    for finite in (True, True, False, True, True, True, True, True, True):
        scale.update(finite)
        values.append(scale.value)
    assert values == [1024, 1024, 512, 512, 512, 1024, 1024, 1024, 2048]


def test_it_has_bounds() -> None:
    scale = LossScale(value=2.0, patience=1)
    for _ in range(5):
        scale.update(finite=False)
    assert scale.value == 1
    for _ in range(40):
        scale.update(finite=True)
    assert scale.value == 2**24

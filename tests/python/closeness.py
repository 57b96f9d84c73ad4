"""When two computations in fp32 are the same: to 1e-5 of the largest number."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_gradients_close(found: Tensor | None, wanted: Tensor | None) -> None:
    """Sums of many terms of both signs: what rounding leaves is in proportion to the largest.

    Gradients that are nothing but rounding, as those of keys' biases, count as of 0.1.
    """
    assert found is not None and wanted is not None
    atol = 1e-5 * max(wanted.abs().max().item(), 0.1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=atol)

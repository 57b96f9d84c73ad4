"""The loss of a linear head, computed in pieces: the logits of all tokens never exist at once.

The logits are by far the largest tensor of a training step: 256 sequences of 256 tokens with a
vocabulary of 32,000 make 8 GB of them in float32, and as much again for their gradient. But each
token's loss needs only its own. So a piece of the tokens is taken at a time; its logits give the
loss and, on the spot, the gradients, which are as small as the hidden states and the weight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

#: The target of a token that nobody has to predict.
IGNORED = -100

#: Logits that exist at once, by default: enough to keep the device busy.
_LOGITS = {"cuda": 1 << 28, "cpu": 1 << 24}


#: A piece's logits and targets -> what :func:`_piece` says.
_OfPiece: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Sums(NamedTuple):
    """What a batch's tokens add up to; all scalars, in float32 on the device."""

    objective: Tensor
    """What is minimised, summed over the tokens: nats, and the z-loss; it alone has gradients."""
    nats: Tensor
    """Cross-entropy, summed over the tokens."""
    tokens: Tensor
    """How many tokens had a target."""


def linear_cross_entropy(
    hidden: Float[Tensor, "*batch d_model"],
    weight: Float[Tensor, "vocab d_model"],
    targets: Int[Tensor, "*batch"],
    z_loss: float = 0.0,
    piece: int | None = None,
    compiled: bool = False,
    scale: float = 1.0,
    soft_cap: float | None = None,
) -> Sums:
    """The cross-entropy of the logits ``hidden @ weight.T``, without ever holding them all.

    Products are computed in autocast's type, where it is on, sums and exponentials in float32.

    Args:
        hidden: what the head sees of each token.
        weight: of the head.
        targets: indices below ``vocab``; ``IGNORED`` where nothing is to be predicted.
        z_loss: weight of log(Z)^2, which keeps the logits' normaliser Z near 1 (Chowdhery et al.
            2022, arXiv:2204.02311).
        piece: tokens at a time; ``None`` as many as suit the device.
        compiled: whether ``torch.compile`` makes one kernel of a piece's exponentials and sums,
            where there is none made for it (:mod:`byteloom.nn.loss_kernel`).
        scale: what the logits are multiplied by.
        soft_cap: the logits, scaled, become soft_cap tanh(logit / soft_cap).

    Example:
        >>> hidden, weight = torch.randn(2, 3, 8), torch.randn(10, 8)
        >>> sums = linear_cross_entropy(hidden, weight, torch.ones(2, 3, dtype=torch.long))
        >>> from torch.nn.functional import cross_entropy
        >>> expected = cross_entropy((hidden @ weight.T).flatten(0, 1), torch.ones(6).long())
        >>> torch.allclose(sums.nats / sums.tokens, expected)
        True
    """
    device = hidden.device.type
    if piece is None:
        piece = piece_size(targets.numel(), weight.shape[0], device)
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    objective, nats, tokens = cast(
        tuple[Tensor, Tensor, Tensor],
        _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            hidden.reshape(-1, hidden.shape[-1]).to(dtype),
            weight,
            targets.reshape(-1),
            z_loss,
            piece,
            compiled,
            scale,
            soft_cap,
        ),
    )
    return Sums(objective, nats, tokens)


def piece_size(tokens: int, vocab: int, device: str) -> int:
    """Tokens a piece: all pieces alike if that can be, as what is compiled and tuned is a shape.

    Args:
        tokens: of the batch.
        vocab: logits a token.
        device: "cuda" or "cpu", say.
    """
    logits = _LOGITS.get(device, 1 << 26)
    pieces = max(1, -(-tokens * vocab // logits))
    for more in range(pieces, 2 * pieces):
        if tokens % more == 0:
            return max(1, tokens // more)
    return max(1, tokens // pieces)


def has_kernel(device: str, scale: float = 1.0, soft_cap: float | None = None) -> bool:
    """Whether the gradient is written where the logits were: on a GPU, with Triton."""
    return device == "cuda" and scale == 1 and soft_cap is None and find_spec("triton") is not None


class _LinearCrossEntropy(torch.autograd.Function):
    """Gradients are made in the forward pass, when a piece's logits are at hand."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        z_loss: float,
        piece: int,
        compiled: bool,
        scale: float,
        soft_cap: float | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over all tokens."""
        of_piece: _OfPiece = partial(_piece, z_loss=z_loss, scale=scale, soft_cap=soft_cap)
        if has_kernel(hidden.device.type, scale, soft_cap):
            of_piece = partial(_piece_by_kernel, z_loss=z_loss)
        elif compiled:
            of_piece = partial(_compile(_piece), z_loss=z_loss, scale=scale, soft_cap=soft_cap)
        with torch.autocast(hidden.device.type, enabled=False):
            wants_hidden, wants_weight = ctx.needs_input_grad[:2]
            narrow = weight.to(hidden.dtype)
            # A sum over all tokens, piece by piece, is held in float32.
            hidden_grad = torch.empty_like(hidden) if wants_hidden else None
            weight_grad = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
            losses = torch.empty(len(hidden), 2, dtype=torch.float32, device=hidden.device)
            for begin in range(0, len(hidden), piece):
                rows, wanted = hidden[begin : begin + piece], targets[begin : begin + piece]
                losses[begin : begin + piece], logits_grad = of_piece(rows @ narrow.T, wanted)
                if hidden_grad is not None:
                    torch.mm(logits_grad, narrow, out=hidden_grad[begin : begin + piece])
                if weight_grad is None:
                    continue
                if hidden.dtype == weight_grad.dtype:
                    weight_grad.addmm_(logits_grad.T, rows)
                else:
                    weight_grad += logits_grad.T @ rows
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.weight_dtype, ctx.compiled = weight.dtype, compiled
        objective, nats = losses.sum(0).unbind()
        tokens = (targets != IGNORED).sum(dtype=torch.float32)
        ctx.mark_non_differentiable(nats, tokens)
        return objective, nats, tokens

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients, scaled: nothing is left to compute."""
        hidden_grad, weight_grad = ctx.saved_tensors
        if hidden_grad is not None:
            # torch's own kernel for a product of two types is slow.
            scaled = _compile(torch.mul) if ctx.compiled else torch.mul
            hidden_grad = scaled(hidden_grad, grads[0])
        if weight_grad is not None:
            weight_grad = (weight_grad * grads[0]).to(ctx.weight_dtype)
        return hidden_grad, weight_grad, None, None, None, None, None, None


def _piece(
    logits: Float[Tensor, "piece vocab"],
    targets: Int[Tensor, " piece"],
    z_loss: float,
    scale: float = 1.0,
    soft_cap: float | None = None,
) -> tuple[Float[Tensor, "piece 2"], Float[Tensor, "piece vocab"]]:
    """Each token's objective and nats, and the gradient of the objectives' sum by the logits."""
    wide = logits.float() if scale == 1 else logits.float() * scale
    if soft_cap is not None:
        bent = (wide / soft_cap).tanh()
        wide = bent * soft_cap
    counted = (targets != IGNORED).to(wide.dtype)[:, None]
    index = targets.clamp_min(0)[:, None]
    log_probabilities = wide.log_softmax(-1)
    of_targets = log_probabilities.gather(-1, index)
    log_z = wide.gather(-1, index) - of_targets
    nats = -of_targets * counted
    objective = nats + z_loss * log_z.square() * counted
    # d nats / d logit = probability - 1 at the target; d log_z^2 / d logit = 2 log_z probability.
    # In place: where nothing is compiled, these are most of the time.
    gradient = log_probabilities.exp_().mul_(counted * (1 + 2 * z_loss * log_z))
    if torch.compiler.is_compiling():
        # Comparing is free in the one kernel there is; a scatter would need all in float32 first.
        columns = torch.arange(logits.shape[-1], device=logits.device)
        gradient = gradient - torch.where(columns == index, counted, 0.0)
    else:
        gradient.scatter_add_(-1, index, -counted)
    if soft_cap is not None:
        gradient = gradient * (1 - bent.square())
    if scale != 1:
        gradient = gradient * scale
    return torch.cat((objective, nats), -1), gradient.to(logits.dtype)


def _piece_by_kernel(logits: Tensor, targets: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """:func:`_piece`; the gradient is where the logits were."""
    from byteloom.nn.loss_kernel import loss_over_logits  # not everybody has Triton

    return loss_over_logits(logits, targets, IGNORED, z_loss), logits


@cache
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled code, made at its first use."""
    return torch.compile(function)

"""The rule of torch's multi-head attention: its four projections as linear uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from scalekit.selectors.scores.tape import Tape


def attend(
    tape: Tape,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,  # noqa: ARG001 (a hint; the mask says it)
) -> Any:
    """Intercept multi_head_attention_forward (sequence first: query [L, B, E])."""
    from torch.nn import functional

    extras = (bias_k, bias_v, static_k, static_v)
    if query.dim() != 3 or add_zero_attn or any(extra is not None for extra in extras):
        return NotImplemented
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    projected = []
    for i, x in enumerate((query, key, value)):
        rows = (i * embed_dim_to_check, (i + 1) * embed_dim_to_check)
        weight = separate[i] if use_separate_proj_weight else in_proj_weight
        assert weight is not None
        flat = project(tape, x, weight, in_proj_bias, rows, not use_separate_proj_weight)
        length, n = flat.shape[:2]
        projected.append(flat.reshape(length, n, num_heads, -1).permute(1, 2, 0, 3))
    q, k, v = projected
    mask = additive_mask(q, k, attn_mask, key_padding_mask)
    dropped = dropout_p if training else 0.0
    weights = None
    if need_weights:
        products = (q @ k.transpose(2, 3)) / q.shape[3] ** 0.5
        weights = (products if mask is None else products + mask).softmax(-1)
        mixed = functional.dropout(weights, dropped) @ v
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropped)
    joined = mixed.permute(2, 0, 1, 3).flatten(2)
    y = project(tape, joined, out_proj_weight, out_proj_bias, None, False)
    return y, weights


def project(
    tape: Tape,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: tuple[int, int] | None,
    packed: bool,
) -> Tensor:
    """Return the projection of x [L, B, d] by `rows` of the bias, and of a `packed` weight."""
    from torch.nn import functional

    from scalekit.selectors.scores.uses import DenseUse, MatrixUse

    w, b = tape.detached(weight), tape.detached(bias)
    if rows is not None:
        w = w[slice(*rows)] if packed else w
        b = None if b is None else b[slice(*rows)]
    y = functional.linear(x, w, b)
    uses: list[Any] = []
    if tape.owns(weight):
        part = rows if packed else None
        uses.append(MatrixUse(tape.name(weight), x.detach().transpose(0, 1), part=part))
    if bias is not None and tape.owns(bias):
        uses.append(DenseUse(tape.name(bias), lambda g: g.sum(1), rows))
    return tape.record(y, uses, "second")


def additive_mask(
    q: Tensor, k: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None
) -> Tensor | None:
    """Return both masks as one that is added to the products [B or 1, H or 1, L, S]."""
    import torch

    def additive(mask: Tensor) -> Tensor:
        if mask.dtype != torch.bool:
            return mask.to(q.dtype)
        return torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, float("-inf"))

    total = None
    if attn_mask is not None:
        total = additive(attn_mask)
        if total.dim() == 3:
            total = total.reshape(len(q), q.shape[1], *total.shape[1:])
    if key_padding_mask is not None:
        padding = additive(key_padding_mask).reshape(len(q), 1, 1, k.shape[2])
        total = padding if total is None else total + padding
    return total

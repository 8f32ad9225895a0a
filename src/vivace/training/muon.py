"""Muon: momentum whose matrix updates are orthogonalised (Jordan et al. 2024), for matrices and convolutions.

PyTorch's own Muon takes two-dimensional parameters only; convolution kernels, which gain most in the codecs, are
flattened here to [out, rest].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# The quintic iteration that drives all singular values towards 1 in five steps (Jordan's coefficients).
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: Tensor, steps: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    """The nearest semi-orthogonal matrices, approximately (singular values between about 0.7 and 1.2). [N, R, C]"""
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised per matrix; updates have the root mean square of AdamW's.

    Args:
        params: parameters of two or more dimensions, flattened to [first, rest].
        lr: learning rate on the scale of AdamW's.
        momentum: decay of the momentum buffer.
        weight_decay: decoupled weight decay.
        dtype: in which the iteration runs; bfloat16 is enough for it, and much faster where the processor has it.

    Raises:
        ValueError: a parameter has fewer than two dimensions.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim < 2:
                    raise ValueError(f"Muon takes matrices; a parameter has shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"]
                momentum.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)
                by_shape.setdefault((update.shape[0], update.shape[1]), []).append((parameter, update))
            for (rows, columns), entries in by_shape.items():
                updates = orthogonalise(torch.stack([update for _, update in entries]), dtype=self.dtype)
                # An orthogonal update has RMS 1 / sqrt(max side); 0.2 is AdamW's typical update RMS (Liu et al. 2025).
                scale = 0.2 * max(rows, columns) ** 0.5
                for (parameter, _), update in zip(entries, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view_as(parameter), alpha=-group["lr"] * scale)


def split_parameters(
    named: Iterable[tuple[str, Tensor]], adamw_names: tuple[str, ...] = ()
) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters for Muon (two or more dimensions) and for AdamW (vectors, and names that contain one of the given)."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        is_matrix = parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) > 1
        chosen = matrices if is_matrix and not any(part in name for part in adamw_names) else rest
        chosen.append(parameter)
    return matrices, rest

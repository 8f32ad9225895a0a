"""Reference cases on disk and the comparison with them (format: golden/nava/README.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor

from vivace.errors import VivaceError


@dataclass(frozen=True)
class Case:
    """One file's tensors and metadata; `name` is the file's without its ending."""

    name: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise VivaceError(f"{self.name} lacks the tensor {name!r}; restore the complete file.")
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def samples(self, name: str) -> list[Tensor]:
        """The tensors `name.0`, `name.1`, ... in order."""
        found: list[Tensor] = []
        while f"{name}.{len(found)}" in self.tensors:
            found.append(self.tensors[f"{name}.{len(found)}"])
        return found


def read_case(path: Path) -> Case:
    """All of a safetensors file.

    Raises:
        VivaceError: the file cannot be read or is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the reader is no dict
            return Case(path.stem, tensors, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise VivaceError(f"{path.name} cannot be read ({error}); restore the file.") from None


@dataclass(frozen=True)
class Bound:
    """What an error must stay below; `of` names the error as in `CaseResult`: max_abs_error or rel_l2."""

    value: float
    of: Literal["max_abs_error", "rel_l2"]


@dataclass(frozen=True)
class CaseResult:
    """Verdict on one case.

    Args:
        case: name of the case; kind: what was checked ("" when that could not be told).
        max_abs_error, rel_l2: of the worst of all tensors compared; NaN when nothing was.
        bound, bound_of: what must stay below which of these two errors.
        reason: what was worst, or why the case failed.
    """

    case: str
    kind: str
    max_abs_error: float
    rel_l2: float
    bound: float
    bound_of: str
    passed: bool
    reason: str


def not_run(case: str, kind: str, bound: Bound, why: str) -> CaseResult:
    """A case that could not be compared, which counts as failed."""
    return CaseResult(case, kind, math.nan, math.nan, bound.value, bound.of, False, f"not run: {why}")


@dataclass
class Comparison:
    """Differences of named tensors from their references: largest absolute one, squared sums of error and reference.

    `unknown` names intermediate values that nothing here computes; the verdict's reason mentions them.
    """

    parts: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add(self, name: str, ours: Tensor, reference: Tensor) -> None:
        """Raises VivaceError when the shapes differ."""
        if ours.shape != reference.shape:
            shapes = f"{tuple(ours.shape)}, the reference {tuple(reference.shape)}"
            raise VivaceError(f"{name} has shape {shapes}; the case does not fit its configuration.")
        a, b = ours.detach().cpu().double(), reference.cpu().double()
        error = (a - b).abs()
        largest = error.max().item() if error.numel() else 0.0
        # A NaN on either side is infinitely wrong, never equal.
        self.parts[name] = (
            math.inf if math.isnan(largest) else largest,
            error.square().sum().item(),
            b.square().sum().item(),
        )

    def result(self, case: str, kind: str, bound: Bound) -> CaseResult:
        """The verdict: the largest absolute error, or the largest relative L2 error of a tensor, against the bound."""
        if not self.parts:
            return not_run(case, kind, bound, "the case holds no reference to compare with")
        relatives = {name: _relative(wrong, size) for name, (_, wrong, size) in self.parts.items()}
        errors = relatives if bound.of == "rel_l2" else {name: part[0] for name, part in self.parts.items()}
        worst = max(errors, key=lambda name: errors[name])
        largest, rel = max(part[0] for part in self.parts.values()), max(relatives.values())
        passed = errors[worst] < bound.value
        reason = f"{len(self.parts)} compared, worst {worst}"
        if self.unknown:
            reason += f"; not compared: {', '.join(self.unknown)}"
        return CaseResult(case, kind, largest, rel, bound.value, bound.of, passed, reason)


def _relative(wrong: float, size: float) -> float:
    """The relative L2 error from both squared sums; not a number counts as infinitely wrong."""
    if not size:
        return math.inf if wrong else 0.0
    ratio = math.sqrt(wrong / size)
    return math.inf if math.isnan(ratio) else ratio

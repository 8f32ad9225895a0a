"""Checks NavaTransformer, guidance, losses and solvers against a folder of reference data (`vivace verify nava`).

A folder holds weights files and case files; what a case is, is told by the tensors and metadata it holds. A file of no
known form, a case without its weights, one that the manifest announces and that is not there, and a folder without
cases are failures, so that "passed" always means "computed and compared".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

from diffusers.models.attention_dispatch import AttentionBackendName
from diffusers.utils.constants import DIFFUSERS_ATTN_BACKEND

from vivace.device import usable_device
from vivace.errors import VivaceError
from vivace.evaluation.cases import Bound, Case, CaseResult, Comparison, not_run, read_case
from vivace.evaluation.cases_arithmetic import CHECKS
from vivace.evaluation.cases_nava import DType, check_forward, check_sampler
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import PREFIX, config_from_official, from_official
from vivace.plain_json import read_object

# Largest absolute error in fp32 (the references' own noise is about 5e-6); largest relative L2 error in bf16.
BOUND_FP32 = Bound(1e-4, "max_abs_error")
BOUND_BF16 = Bound(0.02, "rel_l2")


def shipped_folder() -> Path:
    """The reference data that the package carries."""
    return Path(str(resources.files("vivace.evaluation"))) / "golden" / "nava"


def used_backend(backend: str | None) -> str:
    """The attention backend that computes: what was asked for, or what diffusers is set to."""
    return backend or str(DIFFUSERS_ATTN_BACKEND)


def all_passed(results: Sequence[CaseResult]) -> bool:
    """Whether there were cases and none failed."""
    return bool(results) and all(result.passed for result in results)


def verify_folder(
    folder: Path | str, device: str = "cpu", dtype: DType = "fp32", backend: str | None = None
) -> list[CaseResult]:
    """Run every case of a folder.

    Args:
        folder: weights and cases in the format of golden/nava/README.md.
        device: where the network runs.
        dtype: fp32 (references `fp32.*`, largest absolute error below 1e-4) or bf16 (weights in bfloat16, references
            `bf16ac.*`, relative L2 error below 2 %). Arithmetic and sampling runs are checked in fp32 either way.
        backend: a diffusers attention backend, or None for the device's own.

    Returns:
        One result per case, by name; empty when the folder holds no case, which a caller must treat as a failure.

    Raises:
        VivaceError: the folder or its manifest cannot be read; an unknown dtype, device or backend.
    """
    path = Path(folder)
    if dtype not in ("fp32", "bf16"):
        raise VivaceError(f"dtype {dtype!r} is unknown; use fp32 or bf16.")
    known = [name.value for name in AttentionBackendName]
    if backend is not None and backend not in known:
        usual = [name for name in known if not name.startswith("_") and not name.endswith("_hub")]
        raise VivaceError(f"backend {backend!r} is unknown; use one of {', '.join(usual)}.")
    usable_device(device)
    try:
        files = sorted(file for file in path.iterdir() if file.suffix == ".safetensors")
    except OSError as error:
        reason = error.strerror or error
        raise VivaceError(f"folder {str(path)!r} cannot be read ({reason}); give one with weights and cases.") from None
    return _Verification(path, device, dtype, backend).run(files, announced_in(path / "manifest.json"))


def announced_in(manifest: Path) -> list[str]:
    """The cases that a manifest announces; none where there is no such file.

    Raises:
        VivaceError: it cannot be read, or is not a table of tables.
    """
    if not manifest.exists():
        return []
    remedy = "restore the complete file, or leave it out"
    listed = read_object(manifest, remedy, what="Manifest")
    for name, entry in listed.items():
        if not isinstance(entry, dict):
            raise VivaceError(f"Manifest {str(manifest)!r} is damaged (its {name!r} is no JSON object); {remedy}.")
    return [name for name, entry in listed.items() if "tensors" in entry]


class _Verification:
    """The cases of one folder; a model is loaded once for each weights file and configuration."""

    def __init__(self, folder: Path, device: str, dtype: DType, backend: str | None) -> None:
        self.folder, self.device, self.dtype, self.backend = folder, device, dtype, backend
        self.models: dict[tuple[str, ...], NavaTransformer] = {}

    def run(self, files: Sequence[Path], announced: Sequence[str]) -> list[CaseResult]:
        cases: list[Case] = []
        results: list[CaseResult] = []
        for file in files:
            try:
                cases.append(read_case(file))
            except VivaceError as error:
                results.append(not_run(file.stem, "", BOUND_FP32, str(error)))
        weights = {Path(name).stem for case in cases if (name := weights_of(case))}
        for case in cases:
            if case.name not in weights and not is_weights(case):
                results.append(self.check(case))
        missing = set(announced) - {case.name for case in cases} - {result.case for result in results}
        for name in missing:
            results.append(not_run(name, "", BOUND_FP32, "the manifest names this case but its file is missing"))
        return sorted(results, key=lambda result: result.case)

    def check(self, case: Case) -> CaseResult:
        """The verdict on one case; whatever keeps it from running is a failure with its reason."""
        kind = kind_of(case)
        bound = BOUND_BF16 if kind == "forward" and self.dtype == "bf16" else BOUND_FP32
        try:
            if kind == "forward":
                flags = json.loads(case.metadata["flags"])
                model = self.model(flags["weights"], case.metadata.get("config"), self.dtype)
                compared = check_forward(case, flags, model, self.dtype, dense=self.backend is not None)
            elif kind == "sampler":
                compared = check_sampler(case, self.model(case.metadata["weights"], None, "fp32"))
            elif kind:
                compared = Comparison()
                for name, ours, reference in CHECKS[kind][1](case):
                    compared.add(name, ours, reference)
            else:
                return not_run(case.name, kind, bound, "the file has no form that is known here (see the README)")
            return compared.result(case.name, kind, bound)
        except VivaceError as error:
            return not_run(case.name, kind, bound, str(error))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, RuntimeError) as error:
            # A malformed case must fail with its reason and leave the others their turn.
            return not_run(case.name, kind, bound, f"{type(error).__name__}: {error}")

    def model(self, weights: str, config: str | None, dtype: DType) -> NavaTransformer:
        """A transformer with the weights of a file in the folder, configured by the case, the file or its neighbour.

        Raises:
            VivaceError: the file or a configuration is missing, or they do not fit each other.
        """
        key = (weights, config or "", dtype)
        if key in self.models:
            return self.models[key]
        path = self.folder / weights
        if Path(weights).name != weights or not path.is_file():
            raise VivaceError(f"weights file {weights!r} is missing from the folder; put it there.")
        stored = read_case(path)
        beside = self.folder / f"{path.stem.replace('weights_', 'config_')}.json"
        text = config or stored.metadata.get("config") or (beside.read_text() if beside.is_file() else None)
        if text is None:
            raise VivaceError(
                f"weights file {weights!r} has no configuration; add it to its metadata or as {beside.name}."
            )
        model = NavaTransformer(**config_from_official(cast(dict[str, Any], json.loads(text))))
        state = {name: tensor.float() for name, tensor in stored.tensors.items()}
        try:
            model.load_state_dict(from_official(state, model.config))
            if self.backend:
                model.set_attention_backend(self.backend)
        except (RuntimeError, ValueError) as error:
            raise VivaceError(f"weights {weights!r} cannot be used: {' '.join(str(error).split())[:300]}") from None
        model.eval().requires_grad_(False).to(self.device)
        if dtype == "bf16":
            model.bfloat16()  # diffusers' `to` warns at any dtype
        self.models[key] = model
        return model


def kind_of(case: Case) -> str:
    """`forward`, `sampler`, one of the arithmetic kinds, or "" when the file is of no known form."""
    if "flags" in case.metadata and "in.t" in case:
        return "forward"
    if "weights" in case.metadata and "in.video_noise" in case:
        return "sampler"
    return next((kind for kind, (tensor, _) in CHECKS.items() if tensor in case), "")


def weights_of(case: Case) -> str | None:
    """The weights file that a case names, if any."""
    if "weights" in case.metadata:
        return case.metadata["weights"]
    try:
        named = json.loads(case.metadata.get("flags", "{}")).get("weights")
    except (ValueError, AttributeError, RecursionError):
        return None
    return named if isinstance(named, str) else None


def is_weights(case: Case) -> bool:
    """Whether a file holds a state dict under the official names."""
    return bool(case.tensors) and all(name.startswith(PREFIX) for name in case.tensors)

"""`vivace verify nava`: is this installation, on this device, the published arithmetic?"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.conversion.identity import Identity
    from vivace.evaluation.cases import CaseResult

# What a bound is of, by the heading of its column.
BOUNDED = {"max_abs_error": "max", "rel_l2": "rel."}


def verify(
    model: Annotated[str, typer.Argument(help="What to verify; 'nava' is the one choice so far.")] = "nava",
    golden: Annotated[
        Path | None, typer.Option(help="Folder with weights and cases; the package's own by default.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="fp32 (largest error below 1e-4) or bf16 (relative L2 below 2 %).")
    ] = "fp32",
    device: Annotated[str, typer.Option(help="Where to run: cpu, cuda, cuda:1, ...")] = "cpu",
    backend: Annotated[
        str | None, typer.Option(help="Attention backend by its diffusers name, such as native or flash.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Also fingerprint these weights: NAVA.safetensors or a model folder.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The program's json for a file of --weights that is of no published size.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one machine-readable line instead of a table.")
    ] = False,
) -> None:
    """Compare NAVA's transformer, guidance, losses and solvers with reference data, case by case.

    The package carries cases on small synthetic weights; they show that the arithmetic is the published one, not that
    any released weights are right. --weights prints a fingerprint of such weights, the same for the official file and
    every folder made from it, to be compared with what others report; a folder's weights files are compared with the
    checksums in it first, whatever their size.

    Exits with 1 when a case fails or was not run, or when there are none.

    Example: vivace verify nava --dtype bf16 --device cuda
    """
    if model != "nava":
        raise VivaceError(f"There is nothing to verify for {model!r}; use 'nava'.")
    from vivace.device import device_name
    from vivace.evaluation.verify import all_passed, shipped_folder, used_backend, verify_folder

    if config is not None and (weights is None or weights.is_dir()):
        raise VivaceError(
            f"--config {str(config)!r} describes a weights file and --weights names none; name one, or leave it out."
        )
    identity = None
    if weights is not None:
        from vivace.conversion.identity import identify
        from vivace.pipelines.checksums import check_weights

        check_weights(weights, largest=None)
        identity = identify(weights, config)
    folder = golden or shipped_folder()
    results = verify_folder(folder, device=device, dtype=dtype, backend=backend)  # type: ignore[arg-type]
    passed = all_passed(results)
    computed = {"dtype": dtype, "device": device, "device_name": device_name(device), "backend": used_backend(backend)}
    if as_json:
        summary: dict[str, object] = {"command": "verify", "folder": str(folder), **computed, "passed": passed}
        if identity:
            summary["weights"] = {"path": str(weights), **vars(identity)}
        print(json.dumps({**summary, "cases": [as_record(result) for result in results]}))
    else:
        where = f"{dtype} on {device} ({computed['device_name']}), attention by {computed['backend']}"
        print_table(results, f"NAVA against {folder}: {where}")
        if identity:
            print(f"{weights}: {as_words(identity)}")
    if not passed:
        raise typer.Exit(1)


def as_words(identity: Identity) -> str:
    """A fingerprint as people report it."""
    size = f"NAVA {identity.size}" if identity.size else "no published size"
    return f"fingerprint {identity.sha256} ({size}, {identity.parameters:,} parameters in {identity.tensors} tensors)"


def as_record(result: CaseResult) -> dict[str, object]:
    """A result for JSON, which has no NaN and no infinity: those become null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in vars(result).items()
    }


def print_table(results: list[CaseResult], title: str) -> None:
    """One line per case, failures with their reason, and the total."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    for heading in ("case", "kind", "max error", "rel. L2", "bound", "verdict"):
        # Where there is little width a name goes on in a second line: cut short, it could not be looked up.
        numeric = heading in ("max error", "rel. L2", "bound")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for result in results:
        numbers = [f"{x:.1e}" if not math.isnan(x) else "-" for x in (result.max_abs_error, result.rel_l2)]
        verdict = "[green]passed[/green]" if result.passed else f"[red]FAILED[/red] {escape(result.reason)}"
        bound = f"{BOUNDED[result.bound_of]} {result.bound:g}"
        table.add_row(escape(result.case), result.kind or "?", *numbers, bound, verdict)
    console = Console()
    console.print(table)
    failures = sum(not result.passed for result in results)
    if not results:
        console.print("[red]No cases were found[/red], so nothing was verified; give a folder with cases.")
    else:
        console.print(f"{len(results) - failures} of {len(results)} cases passed.")

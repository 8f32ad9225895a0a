"""`vivace convert nava`: released weights to a model folder, and back."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.errors import Stopped, VivaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vivace.conversion.nava import Converted

app = typer.Typer(no_args_is_help=True, help="Released weights to model folders and back.")
SHOWN_FROM = 10**8  # bytes


@app.callback()
def root() -> None:
    """Keeps `nava` a name of its own while there is only one."""


@app.command(epilog="Example: vivace convert nava NAVA.safetensors NAVA --wan Wan2.2-TI2V-5B --ltx LTX-2.3")
def nava(
    weights: Annotated[
        Path, typer.Argument(help="NAVA.safetensors or an older .ckpt; with --to-official, a model folder.")
    ],
    output: Annotated[Path, typer.Argument(help="The model folder to make; with --to-official, the file.")],
    wan: Annotated[
        Path | None, typer.Option(help="Folder of Wan2.2-TI2V-5B, for its vae, text_encoder and tokenizer.")
    ] = None,
    ltx: Annotated[
        Path | None, typer.Option(help="LTX-2.3's folder or its single file, for audio_vae and vocoder.")
    ] = None,
    vae: Annotated[
        Path | None, typer.Option(help="Wan2.2's video autoencoder: a diffusers folder or Wan2.2_VAE.pth.")
    ] = None,
    text_encoder: Annotated[
        Path | None,
        typer.Option(help="UMT5-xxl's encoder: a transformers folder or Wan's models_t5_umt5-xxl-enc-bf16.pth."),
    ] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="UMT5-xxl's tokenizer: a folder.")] = None,
    audio_vae: Annotated[
        Path | None, typer.Option(help="LTX-2.3's audio autoencoder: a diffusers folder or Lightricks' file.")
    ] = None,
    vocoder: Annotated[
        Path | None, typer.Option(help="LTX-2.3's vocoder: a diffusers folder or Lightricks' file.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Storage of the transformer: fp32, bf16 (default) or fp8_e4m3; "
            "with --to-official fp32 or bf16, the folder's own by default."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The program's json, where the weights are of no published size.")
    ] = None,
    shard_gb: Annotated[
        float | None,
        typer.Option(help="Largest weights file, in GB (5); one tensor is not divided, however large it is."),
    ] = None,
    to_official: Annotated[
        bool, typer.Option("--to-official", help="Write a folder's transformer under the official names.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")] = False,
) -> None:
    """Make a model folder from NAVA's official files, or the official file from a model folder.

    Each part comes from a folder of diffusers or transformers, or from its original file. Nothing is downloaded.

    When it is interrupted, the same command goes on where it stopped.
    """
    from vivace.conversion.nava import SHARD_BYTES, convert_nava, restore_nava
    from vivace.conversion.origins import LTX, WAN

    began = time.monotonic()
    named = {"vae": vae, "text_encoder": text_encoder, "tokenizer": tokenizer, "audio_vae": audio_vae}
    parts = found_in(wan, WAN) | found_in(ltx, LTX)
    parts |= {name: path for name, path in {**named, "vocoder": vocoder}.items() if path is not None}
    try:
        if to_official:
            if parts:
                raise VivaceError("--to-official concerns the transformer alone; leave the other parts out.")
            if config:
                raise VivaceError("--to-official takes the configuration from the folder; leave --config out.")
            if shard_gb is not None:
                raise VivaceError("--to-official writes a single file; leave --shard-gb out.")
            done = restore_nava(weights, output, dtype=dtype, progress=shown())
        else:
            shard_gb = SHARD_BYTES / 1e9 if shard_gb is None else shard_gb
            if not 0 < shard_gb <= 1000:
                raise VivaceError(f"--shard-gb {shard_gb:g} is out of range; give a number above 0 and up to 1000.")
            done = convert_nava(
                weights,
                parts,
                output,
                dtype=dtype or "bf16",
                config=config,
                shard_bytes=max(int(shard_gb * 1e9), 1),
                progress=shown(),
            )
    except KeyboardInterrupt:
        if not output.with_name(f".{output.name}.converting").exists():
            raise  # too early for anything to go on from
        what = "what is written is" if to_official else "finished shards are"
        raise Stopped(f"Stopped; {what} kept beside the output, and the same command goes on from there.") from None
    report(done, time.monotonic() - began, as_json)


def found_in(place: Path | None, layout: Mapping[str, tuple[str, ...]]) -> dict[str, Path]:
    """The parts in a public repository's folder; a single file holds all of them.

    Raises:
        VivaceError: the folder lacks one, or is not there.
    """
    from vivace.conversion.origins import parts_at

    parts = parts_at(place, layout)
    for part, names in layout.items():
        if place is not None and part not in parts:
            raise VivaceError(
                f"Folder {str(place)!r} lacks its {part} ({' or '.join(names)}); download it whole, or name the part."
            )
    return parts


def shown() -> Callable[[int, int], None]:
    """Progress on standard error, one line for each tenth of what takes some time."""
    tenths = 0

    def show(done: int, total: int) -> None:
        nonlocal tenths
        if total >= SHOWN_FROM and done * 10 // total > tenths:
            tenths = done * 10 // total
            print(f"{tenths * 10:3d} % of {total / 1e9:.1f} GB", file=sys.stderr)

    return show


def report(done: Converted, seconds: float, as_json: bool) -> None:
    """What was written, with the SHA-256 of every file."""
    if as_json:
        files: dict[str, dict[str, Any]] = {path: vars(written) for path, written in done.files.items()}
        summary = {"command": "convert", "output": str(done.output), "parameters": done.parameters}
        print(json.dumps({**summary, "bytes": done.bytes, "seconds": round(seconds, 1), "files": files}))
        return
    for name, licence in done.licences.items():
        print(f"Licence ({name}): {licence}", file=sys.stderr)
    for path, written in done.files.items():
        rounded = f"  fp8 error up to {written.fp8_error:.1%}" if written.fp8_error else ""
        print(f"{written.sha256}  {path} ({written.bytes / 1e9:.2f} GB){rounded}")
    print(f"{done.output}: {done.parameters:,} parameters, {done.bytes / 1e9:.2f} GB in {seconds:.0f} s.")

"""NAVA's released weights to a model folder, and a folder's transformer back to the official file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusers import UniPCMultistepScheduler
from diffusers import __version__ as diffusers_version

from vivace.conversion.folder import GrowingFolder, check_disk, shards_of
from vivace.conversion.growing_file import Growth, growing
from vivace.conversion.origins import licences_of
from vivace.conversion.parts import (
    DTYPES,
    Part,
    audio_vae_part,
    check_dtype,
    config_of,
    matched,
    on_meta,
    read_json,
    text_encoder_part,
    tokenizer_part,
    transformer_part,
    vae_part,
    vocoder_part,
)
from vivace.conversion.released import NAVA_SIZES
from vivace.conversion.sources import Source, open_weights
from vivace.conversion.writing import FP8, Progress, Tensors, Written, write_safetensors
from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import official_names
from vivace.pipelines.checksums import check_part
from vivace.pipelines.folder import INDEX, check_folder
from vivace.sampling.presets import OFFICIAL

SHARD_BYTES = 5_000_000_000


@dataclass(frozen=True)
class Converted:
    """What was written: the folder or file, its weights files, parameters of the transformer, total bytes.

    licences: of a folder's parts.
    """

    output: Path
    files: dict[str, Written]
    parameters: int
    licences: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())


def convert_nava(
    weights: Path,
    parts: Mapping[str, Path],
    output: Path,
    *,
    dtype: str = "bf16",
    config: Path | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Converted:
    """Build a model folder that `NavaPipeline.from_pretrained` loads.

    Everything is checked before anything is written, all but the values themselves; a value that is not finite stops
    the conversion and removes what it wrote. An interrupted conversion goes on when it is called again.

    Args:
        weights: the official transformer, `NAVA.safetensors` or an older `.ckpt`.
        parts: paths of vae, text_encoder, tokenizer, audio_vae and vocoder, each a folder or an original file.
        dtype: of the transformer as stored: fp32, bf16 or fp8_e4m3.
        config: the program's json, where the weights are of no published size.
        shard_bytes: largest weights file; a tensor is not divided, and a larger one gets a file of its own.
        progress: told how many bytes of how many are done.

    Raises:
        VivaceError: a part is missing, damaged or another model's; the disk is too small; the output exists.
    """
    check_dtype(dtype)
    if shard_bytes < 1:
        raise VivaceError(f"A shard of {shard_bytes} bytes holds nothing; choose a larger size.")
    found = find_parts(weights, parts, dtype, config)
    licences = licences_of({"transformer": weights, **parts})
    folder = GrowingFolder(output, _request(found, dtype, shard_bytes), licences)
    shards = {part.name: shards_of(part, shard_bytes) for part in found}
    every = [shard for part in found for shard in shards[part.name]]
    folder.check_space(every)
    folder.write(every, _counted(progress, sum(shard.size for shard in every)))
    for part in found:
        folder.put_part(part, shards[part.name])
    folder.put_json("scheduler/scheduler_config.json", config_of(scheduler()))
    folder.put_json(INDEX, model_index(found))
    check_folder(folder.place)
    folder.finish()
    tensors = found[0].tensors
    return Converted(output, folder.files, _parameters(tensors) if tensors else 0, licences)


def find_parts(weights: Path, parts: Mapping[str, Path], dtype: str, config: Path | None = None) -> list[Part]:
    """All parts of the folder, checked tensor by tensor; the transformer first.

    Raises:
        VivaceError: a part is missing or does not fit.
    """
    makers = part_makers(dtype)
    missing = [name for name in makers if name not in parts]
    if missing:
        raise VivaceError(f"A NAVA folder also needs its {', '.join(missing)}; name where each is.")
    return [transformer_part(weights, dtype, config), *(make(parts[name]) for name, make in makers.items())]


def part_makers(dtype: str) -> dict[str, Callable[[Path], Part]]:
    """What reads and checks each part but the transformer."""
    return {
        "vae": vae_part,
        "text_encoder": lambda path: text_encoder_part(path, dtype),
        "tokenizer": tokenizer_part,
        "audio_vae": audio_vae_part,
        "vocoder": vocoder_part,
    }


def scheduler() -> Any:
    """The official solver's configuration, for others; steps and tables of ours are `vivace.sampling`'s."""
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=OFFICIAL.shift, num_train_timesteps=1000
    )


def model_index(parts: list[Part]) -> dict[str, Any]:
    """model_index.json: the class of every part, and capabilities that are the published model's.

    What is not said there is what `vivace.pipelines.capabilities` gives a folder that says nothing.
    """
    index: dict[str, Any] = {"_class_name": "NavaPipeline", "_diffusers_version": diffusers_version}
    index |= {part.name: [part.library, part.kind] for part in parts}
    index["scheduler"] = ["diffusers", "UniPCMultistepScheduler"]
    index["speaker_encoder"] = [None, None]
    index["capabilities"] = {"name": "NAVA", "sizes": NAVA_SIZES}
    return index


def _request(parts: list[Part], dtype: str, shard_bytes: int) -> dict[str, Any]:
    """What decides the folder's weights."""
    files = [file for part in parts for file in (part.tensors.source.files if part.tensors else part.copied)]
    return {"dtype": dtype, "shard_bytes": shard_bytes, "sources": _stated(files)}


def _stated(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, length and time of change of files, since hashing them would take minutes."""
    return sorted({(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files})


def _counted(progress: Callable[[int, int], None] | None, total: int) -> Progress | None:
    if progress is None:
        return None
    done = 0

    def count(written: int) -> None:
        nonlocal done
        done = min(done + written, total)
        progress(done, total)

    return count


def _parameters(tensors: Tensors) -> int:
    return sum(tensors.count(name) for name in tensors.names)


def open_transformer(folder: Path) -> tuple[Source, NavaTransformer]:
    """The transformer of a model folder (or its own folder): weights, and a model on the meta device.

    Raises:
        VivaceError: it is not there, or its tensors are not those of its configuration.
    """
    place = folder / "transformer" if (folder / "transformer").is_dir() else folder
    config = read_json(place / "config.json")
    if config.get("_class_name") != "NavaTransformer":
        raise VivaceError(f"Folder {str(place)!r} holds no NavaTransformer; name a folder that vivace made.")
    model: NavaTransformer = on_meta(place, lambda: NavaTransformer.from_config(config))
    source = open_weights(place)
    names = {name: name for name in model.state_dict()}
    matched(source, model, names, source.tensors, "the NavaTransformer of its configuration")
    return source, model


def restore_nava(
    folder: Path, output: Path, *, dtype: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Converted:
    """The transformer of a model folder as one file under the official names.

    Its weights are compared with the folder's checksums first. An interrupted one goes on when it is called again.

    Args:
        output: a .safetensors file.
        dtype: fp32, bf16 or None, which keeps the stored types and so every bit.

    Raises:
        VivaceError: no transformer there, a damaged one, one that the public program does not know, a type that no
            official file has, or a disk without room.
    """
    if dtype not in (None, "fp32", "bf16"):
        raise VivaceError(
            f"dtype {dtype!r} is none of the official file's; use fp32 or bf16, or none to keep the folder's own."
        )
    if output.suffix != ".safetensors":
        raise VivaceError(f"Output {str(output)!r} becomes a safetensors file; let its name end in .safetensors.")
    if output.exists():
        raise VivaceError(f"Output {str(output)!r} exists already; remove it or choose another name.")
    source, model = open_transformer(folder)
    ours_alone = {
        "speakers_keep_text": "adds speakers to the text",
        "places": "tells tokens their places",
        "hide_pads": "attends to no pads",
        "gaussian_skip": "adds what a Gaussian would answer",
    }
    for option, what in ours_alone.items():
        if model.config[option]:
            raise VivaceError(
                f"The transformer in {str(folder)!r} {what}, which the public program cannot; use it with vivace."
            )
    names = {official: ours for ours, official in official_names(model.config).items()}
    kept = {name: source.tensors[ours].dtype for name, ours in names.items()}
    if dtype is None and FP8 in kept.values():
        raise VivaceError(
            f"The transformer in {str(folder)!r} is stored in fp8_e4m3, which no official file has; name --dtype bf16 "
            "(its rounding stays)."
        )
    dtypes = kept if dtype is None else dict.fromkeys(names, DTYPES[dtype])
    tensors = Tensors(source, names, dtypes)
    total = sum(tensors.size(name) for name in names)
    request = {"dtype": dtype, "sources": _stated(source.files)}
    check_disk(output, total - Growth(output, request).length())
    check_part(source.path.resolve(), largest=None)
    with growing(output, request) as growth:
        written = write_safetensors(growth.place, tensors, list(names), _counted(progress, total), growth)
    return Converted(output, {output.name: written}, _parameters(tensors))

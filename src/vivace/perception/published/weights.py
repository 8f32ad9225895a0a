"""Which weights each published network needs, and where the user says that they are."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from vivace.errors import VivaceError

_SEVERAL_DEVICES = "module."
_ARRAY_PLACES = ("numpy._core.multiarray", "numpy.core.multiarray")  # NumPy 2's name, and what older files say


@dataclass(frozen=True)
class PublishedWeights:
    """What an adapter asks of its user.

    Args:
        key: names the weights in a settings file and on the command line.
        metrics: that need them.
        file: what the publisher calls the file or folder.
        source: where the publisher has it.
        licence: of the weights, with what it forbids.
        verified: whether our adapter has been run on the public weights and gave the published numbers.
        folder: whether a folder is named (as transformers reads it), and not one file.
    """

    key: str
    metrics: tuple[str, ...]
    file: str
    source: str
    licence: str
    verified: bool = False
    folder: bool = False


PUBLISHED: dict[str, PublishedWeights] = {
    weights.key: weights
    for weights in (
        PublishedWeights(
            "syncnet",
            (
                "sync_c",
                "sync_d",
                "sync_offset_abs",
                "sync_c_verse_bench",
                "sync_d_mean_of_shifts",
                "sync_c_any_track",
                "sync_d_any_track",
                "sync_offset_any_track",
            ),
            "syncnet_v2.model",
            "the SyncNet authors' page (Oxford VGG, joonson/syncnet_python)",
            "MIT",
        ),
        PublishedWeights(
            "clap",
            ("clap_score", "clap_pair_sqdist"),
            "a transformers folder of clap-htsat-fused (630k-audioset-fusion-best)",
            "Hugging Face: laion/clap-htsat-fused",
            "Apache-2.0",
            folder=True,
        ),
        PublishedWeights(
            "audiobox",
            ("audiobox_ce", "audiobox_cu", "audiobox_pc", "audiobox_pq"),
            "a folder with config.json and model.safetensors of audiobox-aesthetics",
            "Hugging Face: facebook/audiobox-aesthetics",
            "CC-BY 4.0",
            folder=True,
        ),
        PublishedWeights(
            "whisper",
            ("wer_seed_tts", "wer_verse_bench", "wer_plain", "cer"),
            "a transformers folder of whisper-large-v3",
            "Hugging Face: openai/whisper-large-v3",
            "Apache-2.0",
            folder=True,
        ),
        PublishedWeights(
            "sensevoice",
            ("wer_verse_bench_sensevoice", "wer_plain_sensevoice"),
            "the folder of SenseVoiceSmall with that of fsmn-vad in it, and the package funasr installed by yourself",
            "Hugging Face: FunAudioLLM/SenseVoiceSmall and funasr/fsmn-vad",
            "see its source (FunASR has a model licence of its own)",
            folder=True,
        ),
        PublishedWeights(
            "paraformer",
            ("cer_seed_tts",),
            "the folder of paraformer-zh, and the package funasr installed by yourself",
            "Hugging Face: funasr/paraformer-zh",
            "see its source (FunASR has a model licence of its own)",
            folder=True,
        ),
        PublishedWeights(
            "wavlm-sv",
            ("speaker_similarity_wavlm_sv",),
            "a transformers folder of wavlm-base-plus-sv",
            "Hugging Face: microsoft/wavlm-base-plus-sv",
            "see its model card, which refers to UniSpeech's licence",
            folder=True,
        ),
        PublishedWeights(
            "seed-tts-sv",
            ("speaker_similarity_seed_tts",),
            "wavlm_large_finetune.pth",
            "UniSpeech, downstreams/speaker_verification; named by BytedanceSpeech/seed-tts-eval",
            "CC BY-SA 3.0 (UniSpeech)",
        ),
        PublishedWeights(
            "imagebind",
            ("ib_score", "ib_tv", "ib_ta", "avh_score", "javis_score"),
            "imagebind_huge.pth, and the package imagebind installed by yourself",
            "facebookresearch/ImageBind",
            "CC-BY-NC 4.0: code and weights for non-commercial use only; vivace holds neither",
        ),
        PublishedWeights(
            "panns",
            ("fd_panns", "kl_panns", "is_panns"),
            "Cnn14_16k_mAP=0.438.pth",
            "Zenodo record 3987831 (qiuqiangkong/audioset_tagging_cnn)",
            "CC-BY 4.0 (code MIT)",
        ),
        PublishedWeights(
            "passt",
            ("fd_passt", "kl_passt", "is_passt", "kl_verse_bench"),
            "passt-s-f128-p16-s10-ap.476-swa.pt",
            "release v0.0.1-audioset of kkoutini/PaSST",
            "Apache-2.0",
        ),
        PublishedWeights(
            "vggish",
            ("fd_vggish",),
            "vggish-10086976.pth",
            "release v0.1 of harritaylor/torchvggish",
            "Apache-2.0",
        ),
        PublishedWeights(
            "dnsmos",
            ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808"),
            "a folder with sig_bak_ovr.onnx and model_v8.onnx, and the package onnxruntime",
            "microsoft/DNS-Challenge, DNSMOS/DNSMOS",
            "see its source (the repository's code is MIT)",
            folder=True,
        ),
        PublishedWeights(
            "laion-aesthetic",
            ("aesthetic_laion",),
            "a transformers folder of clip-vit-large-patch14 with sac+logos+ava1-l14-linearMSE.pth in it",
            "Hugging Face: openai/clip-vit-large-patch14; christophschuhmann/improved-aesthetic-predictor",
            "MIT (CLIP's repository); head: see its source (others cite Apache-2.0)",
            folder=True,
        ),
        PublishedWeights(
            "aesthetic-v2-5",
            ("aesthetic_v2_5",),
            "a transformers folder of siglip-so400m-patch14-384 with aesthetic_predictor_v2_5.pth in it",
            "Hugging Face: google/siglip-so400m-patch14-384; discus0434/aesthetic-predictor-v2-5",
            "Apache-2.0 (SigLIP), AGPL-3.0 (head); vivace holds neither",
            folder=True,
        ),
        PublishedWeights(
            "i3d",
            ("fvd_videogpt", "kvd_videogpt"),
            "i3d_pretrained_400.pt",
            "wilson1yan/VideoGPT (named by JavisBench)",
            "MIT (VideoGPT); the Kinetics weights: see their source (others cite Apache-2.0)",
        ),
        PublishedWeights(
            "musiq",
            ("musiq",),
            "musiq_koniq_ckpt-e95806b9.pth",
            "release v0.1-weights of chaofengc/IQA-PyTorch",
            "non-commercial: see its source (IQA-PyTorch; its package is PolyForm Noncommercial 1.0.0 since 0.1.16)",
        ),
        PublishedWeights(
            "maniqa",
            ("maniqa",),
            "ckpt_koniq10k.pt",
            "release Koniq10k of IIGROUP/MANIQA",
            "see its source (others cite Apache-2.0)",
        ),
        PublishedWeights(
            "synchformer",
            ("desync", "desync_javisbench", "av_a_signed"),
            "synchformer_state_dict.pth",
            "release v0.1 of hkchengrex/MMAudio (model 24-01-04T16-39-21 of v-iashin/Synchformer)",
            "see its source (others cite MIT for Synchformer; MMAudio's own networks are CC-BY-NC 4.0)",
        ),
        PublishedWeights(
            "clip-b32",
            ("clip_score",),
            "a transformers folder of clip-vit-base-patch32",
            "Hugging Face: openai/clip-vit-base-patch32",
            "MIT (CLIP's repository)",
            folder=True,
        ),
        PublishedWeights(
            "cavp",
            ("cavp_score",),
            "cavp_epoch66.ckpt",
            "Hugging Face: SimianLuo/Diff-Foley, diff_foley_ckpt",
            "see its source",
        ),
        PublishedWeights(
            "raft",
            ("ms_verse_bench",),
            "raft-things.pth",
            "princeton-vl/RAFT (its models.zip; Verse-Bench names the same file)",
            "BSD-3-Clause",
        ),
        PublishedWeights(
            "dinov3",
            ("id_verse_bench", "id_cls"),
            "a transformers folder of dinov3-vitl16-pretrain-lvd1689m",
            "Hugging Face: facebook/dinov3-vitl16-pretrain-lvd1689m",
            "DINOv3 License (Meta's own; to be accepted before download)",
            folder=True,
        ),
        PublishedWeights(
            "dinov2",
            ("id_dinov2",),
            "a transformers folder of dinov2-large",
            "Hugging Face: facebook/dinov2-large",
            "Apache-2.0",
            folder=True,
        ),
    )
}


class MissingWeightsError(VivaceError):
    """Weights that the user has not named; the run goes on and the metric is reported as skipped.

    Args:
        weights: what is missing. problem: why, where something was named.
    """

    def __init__(self, weights: PublishedWeights, problem: str = "are not named") -> None:
        self.weights = weights
        super().__init__(
            f"The weights of {weights.key!r} {problem}; to measure {', '.join(weights.metrics)} get {weights.file} "
            f"from {weights.source} (licence: {weights.licence}) and give --weights {weights.key}=PATH, or "
            f'--weights FILE.toml with the line {weights.key} = "PATH" under [weights].'
        )


def named_weights(settings: Path | None = None, flags: Iterable[str] = ()) -> dict[str, Path]:
    """Where the user says that weights are.

    Args:
        settings: a TOML file whose table [weights] holds KEY = "PATH"; relative paths are from the file's folder.
        flags: KEY=PATH each; they go before the file.

    Raises:
        VivaceError: no such file, no TOML, a key that is unknown or a value that is no path.
    """
    named: dict[str, Path] = {}
    if settings is not None:
        for key, value in _table(settings).items():
            if not isinstance(value, str) or not value:
                raise VivaceError(f"{key} in {str(settings)!r} is {value!r}, which is no path; give a path in quotes.")
            named[_known(key)] = settings.parent / value
    for flag in flags:
        key, sign, path = flag.partition("=")
        if not sign or not path:
            raise VivaceError(f"--weights {flag!r} names no file; give KEY=PATH, such as syncnet=syncnet_v2.model.")
        named[_known(key)] = Path(path)
    return named


def locate(key: str, named: Mapping[str, Path]) -> Path:
    """The path of the weights.

    Raises:
        MissingWeightsError: they are not named, or not there.
    """
    weights, path = PUBLISHED[key], named.get(key)
    if path is None:
        raise MissingWeightsError(weights)
    if not (path.is_dir() if weights.folder else path.is_file()):
        raise MissingWeightsError(
            weights, f"are not at {str(path)!r}, where a {'folder' if weights.folder else 'file'} is due"
        )
    return path


def read_tensors(path: Path, *, drop: tuple[str, ...] = ()) -> dict[str, Any]:
    """All tensors of a file, safetensors or a state dictionary of PyTorch; a pickle is opened without running anything.

    Args:
        path: file. drop: beginnings of names that are left out.

    Raises:
        VivaceError: a file that cannot be read or that holds other things than tensors.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals(_arrays()):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch answers with advice on switches that is of no use here.
        pickled = isinstance(error, UnpicklingError)
        reason = "damaged, or no file of tensors alone" if pickled else " ".join(str(error).split())[:120]
        raise VivaceError(f"Weights {str(path)!r} cannot be read ({reason}); give the publisher's file.") from error
    for inner in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(inner), Mapping):
            content = content[inner]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise VivaceError(f"Weights {str(path)!r} hold more than tensors; give a state dictionary.")
    # Several devices wrap a network in one that has nothing else.
    wrapped = _SEVERAL_DEVICES if all(name.startswith(_SEVERAL_DEVICES) for name in content) else ""
    named = {name.removeprefix(wrapped): tensor for name, tensor in content.items()}
    return {name: tensor for name, tensor in named.items() if not (drop and name.startswith(drop))}


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that a publisher's file holds."""
    text = (files("vivace.perception.published") / "manifests" / f"{name}.json").read_text(encoding="utf-8")
    return {key: tuple(shape) for key, shape in json.loads(text).items()}


def load_strictly(model: Any, tensors: Mapping[str, Any], own: Callable[[str], str], path: Path) -> None:
    """Put tensors into a model, every name and shape of either side matched.

    Args:
        model: an nn.Module. tensors: by the publisher's names; own: those to the model's. path: named in the error.

    Raises:
        VivaceError: a tensor is missing, unknown or of another shape.
    """
    import torch

    state = model.state_dict()
    given = {own(name): tensor for name, tensor in tensors.items()}
    # Counters of batch norms are not used at inference, and old files lack them.
    due = {name for name in state if name in given or not name.endswith("num_batches_tracked")}
    missing, unknown = sorted(due - given.keys()), sorted(given.keys() - state.keys())
    wrong = sorted(name for name in due & given.keys() if state[name].shape != given[name].shape)
    for names, problem in ((missing, "lacks"), (unknown, "also holds"), (wrong, "has another shape for")):
        if names:
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise VivaceError(
                f"Weights {str(path)!r} are of another network: the file {problem} {some}; check the file."
            )
    with torch.no_grad():
        model.load_state_dict({**state, **given}, strict=True)


def load_transformers(cls: Any, path: Path) -> Any:
    """A model of transformers from a folder, every name and shape matched, in eval mode; nothing is downloaded.

    Raises:
        VivaceError: the folder cannot be read or its weights are of another network.
    """
    try:
        model, told = cls.from_pretrained(path, local_files_only=True, output_loading_info=True, use_safetensors=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise VivaceError(f"Folder {str(path)!r} cannot be read ({reason}); give the publisher's folder.") from error
    wrong = [name for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in told[kind]]
    if wrong:
        raise VivaceError(f"Folder {str(path)!r} does not fit {cls.__name__}: {wrong[0]} differs; check the folder.")
    return model.eval().requires_grad_(False)


def _arrays() -> list[Any]:
    """What NumPy's arrays are made of in a pickle: training states beside the weights hold some; none runs code."""
    import numpy as np
    from numpy._core.multiarray import _reconstruct, scalar

    kinds = {type(np.dtype(kind)) for kind in (bool, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")}
    functions = [(made, f"{place}.{made.__name__}") for made in (_reconstruct, scalar) for place in _ARRAY_PLACES]
    return [np.ndarray, np.dtype, *sorted(kinds, key=repr), *functions]


def _table(settings: Path) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise VivaceError(f"Settings {str(settings)!r} cannot be read ({error}); check the path.") from error
    except tomllib.TOMLDecodeError as error:
        raise VivaceError(f"Settings {str(settings)!r} are no TOML ({error}); correct that place.") from error
    table = content.pop("weights", {})
    if content or not isinstance(table, Mapping):
        name = next(iter(content), "weights")
        raise VivaceError(
            f'Settings {str(settings)!r} have {name!r} beside the table [weights]; put KEY = "PATH" there.'
        )
    return table


def _known(key: str) -> str:
    if key not in PUBLISHED:
        raise VivaceError(f"Weights {key!r} are unknown; name one of {', '.join(PUBLISHED)}.")
    return key

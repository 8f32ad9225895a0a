"""Every adapter computes where it is told to: nothing of its network, and of what it is given, stays behind."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.fx.experimental._config
from tests.perception.published.test_clip_score import clip_folder
from tests.perception.published.test_dino import tiny_dino
from tests.perception.published.test_picture_networks import laion_folder, tiny_i3d, v2_5_folder
from tests.perception.published.test_picture_quality import tiny_maniqa, tiny_musiq
from tests.perception.published.test_raft_and_cavp import tiny_cavp, tiny_raft
from tests.perception.published.test_sound_networks import dnsmos_folder, tiny_panns, tiny_passt, tiny_vggish
from tests.perception.published.test_synchformer import tiny_synchformer
from tests.perception.published.tiny_networks import (
    TINY,
    TinyBind,
    audiobox_folder,
    bytes_of,
    clap_folder,
    seed_tts_file,
    sound,
    tiny_ecapa,
    tiny_lips,
    wavlm_sv_folder,
    whisper_folder,
)
from torch.utils._pytree import tree_leaves

from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.perception.published.aesthetic import AestheticPredictor
from vivace.perception.published.audiobox import Audiobox
from vivace.perception.published.clap import Clap
from vivace.perception.published.clip_score import ClipVectors
from vivace.perception.published.dnsmos import Dnsmos
from vivace.perception.published.imagebind import ImageBind
from vivace.perception.published.placing import inference
from vivace.perception.published.speaker import SeedTtsSpeaker, WavlmSpeaker
from vivace.perception.published.syncnet import FaceTrack
from vivace.perception.published.weights import PUBLISHED
from vivace.perception.published.whisper import Whisper

FRAMES = np.random.default_rng(0).integers(0, 255, (10, 40, 48, 3), dtype=np.uint8)
LARGE = np.random.default_rng(1).integers(0, 255, (2, 224, 230, 3), dtype=np.uint8)
CLIP = Clip(np.repeat(FRAMES, 13, axis=0), Fraction(25), sound(5.2), 16000)
TRACK = FaceTrack(0, np.tile([8.0, 4.0, 40.0, 36.0], (20, 1)))

Asked = Callable[[Any], Any]


def loud(adapter: Any) -> Any:
    return adapter(sound(1.0), 16000)


def seen(adapter: Any) -> Any:
    return adapter(FRAMES)


# By key: the adapter, and what it is asked. The networks of funasr and onnxruntime are placed by these packages.
ADAPTERS: dict[str, tuple[Callable[[Path], Any], tuple[Asked, ...]]] = {
    "syncnet": (lambda folder: tiny_lips(), (lambda adapter: adapter(CLIP, TRACK),)),
    "clap": (
        lambda folder: Clap(clap_folder(folder)),
        (lambda a: a.of_sound(sound(0.5), 16000), lambda a: a.of_text("a")),
    ),
    "audiobox": (lambda folder: Audiobox(audiobox_folder(folder), TINY), (loud,)),
    "whisper": (lambda folder: Whisper(whisper_folder(folder)), (loud,)),
    "wavlm-sv": (lambda folder: WavlmSpeaker(wavlm_sv_folder(folder)), (loud,)),
    "seed-tts-sv": (lambda folder: SeedTtsSpeaker(seed_tts_file(folder), tiny_ecapa()), (loud,)),
    "imagebind": (
        lambda folder: ImageBind(TinyBind(), bytes_of),
        (
            lambda adapter: adapter.of_text("a bell"),
            lambda adapter: adapter.of_sound(sound(1.0), 16000),
            lambda adapter: adapter.of_video(CLIP),
            lambda adapter: adapter.of_pictures(FRAMES),
        ),
    ),
    "clip-b32": (
        lambda folder: ClipVectors(clip_folder(folder)),
        (lambda adapter: adapter.of_pictures(FRAMES), lambda adapter: adapter.of_text("a bell")),
    ),
    "panns": (tiny_panns, (loud,)),
    "passt": (tiny_passt, (loud, lambda adapter: adapter.over_windows(sound(1.0), 16000))),
    "vggish": (tiny_vggish, (loud,)),
    "laion-aesthetic": (lambda folder: AestheticPredictor.laion(laion_folder(folder)), (seen,)),
    "aesthetic-v2-5": (lambda folder: AestheticPredictor.v2_5(v2_5_folder(folder)), (seen,)),
    "musiq": (tiny_musiq, (seen,)),
    "maniqa": (tiny_maniqa, (lambda adapter: adapter(LARGE),)),
    "synchformer": (tiny_synchformer, (lambda adapter: adapter.logits(*adapter.segments(CLIP), [0]),)),
    "cavp": (tiny_cavp, (lambda adapter: adapter(CLIP),)),
    "raft": (tiny_raft, (lambda adapter: adapter(LARGE),)),
    "i3d": (tiny_i3d, (seen,)),
    "dinov3": (lambda folder: tiny_dino(folder, "dinov3"), (seen,)),
    "dinov2": (lambda folder: tiny_dino(folder, "dinov2"), (seen,)),
}


def test_every_network_of_ours_is_among_them() -> None:
    assert ADAPTERS.keys() == PUBLISHED.keys() - {"sensevoice", "paraformer", "dnsmos"}


@pytest.mark.parametrize("key", sorted(ADAPTERS.keys() - {"whisper"}))
@torch.fx.experimental._config.patch(meta_nonzero_assume_all_nonzero=True)  # CLAP picks some of its sounds
def test_all_that_computes_goes_to_the_device(key: str, tmp_path: Path) -> None:
    load, asked = ADAPTERS[key]
    adapter = load(tmp_path)
    assert str(adapter.device) == "cpu"
    adapter.to("meta")
    assert str(adapter.device) == "meta"
    watched(adapter)
    for ask in asked:
        # Tensors of "meta" hold no numbers: when all has been computed, to read the result is what must fail.
        with pytest.raises(
            (NotImplementedError, RuntimeError), match=r"copy out of meta|item\(\) cannot be called on m"
        ):
            ask(adapter)


def watched(adapter: Any) -> None:
    """Let each layer of an adapter's networks refuse what is not where it is itself."""

    def check(layer: torch.nn.Module, given: Any, named: Any) -> None:
        tensors = [value for value in tree_leaves((given, named)) if isinstance(value, torch.Tensor)]
        assert all(tensor.device == adapter.device for tensor in (*tensors, *layer.buffers(), *layer.parameters()))

    for network in vars(adapter).values():
        for layer in network.modules() if isinstance(network, torch.nn.Module) else ():
            layer.register_forward_pre_hook(check, with_kwargs=True)


def test_whisper_decodes_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whisper = Whisper(whisper_folder(tmp_path))
    whisper.to("meta")
    given: list[str] = []

    def generate(features: torch.Tensor, **asked: Any) -> torch.Tensor:
        given.extend(str(tensor.device) for tensor in (features, *whisper.model.parameters()))
        return torch.ones(1, 2, dtype=torch.long)

    monkeypatch.setattr(whisper.model, "generate", generate)
    whisper(sound(0.5), 16000)
    assert set(given) == {"meta"}


def test_dnsmos_stays_on_the_cpu_and_says_so(tmp_path: Path) -> None:
    network = Dnsmos(dnsmos_folder(tmp_path))
    before = network(sound(1.0), 16000)
    network.to("meta")
    assert str(network.device) == "cpu"
    assert network(sound(1.0), 16000) == before


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(VivaceError, match="cannot be moved to device 'cuda:77'"):
        ImageBind(torch.nn.Linear(2, 2), bytes_of).to("cuda:77")


def test_convolutions_are_not_rounded_while_networks_are_asked() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()

    @inference()
    def asked() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()

    assert asked() == asked() == (False, False)
    assert (torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("key", sorted(ADAPTERS))
def test_a_gpu_gives_what_the_cpu_gives(key: str, tmp_path: Path) -> None:
    load, asked = ADAPTERS[key]
    adapter = load(tmp_path)
    here = [ask(adapter) for ask in asked]
    adapter.to("cuda")
    there = [ask(adapter) for ask in asked]
    for one, other in zip(here, there, strict=True):
        assert_alike(one, other)


def assert_alike(one: Any, other: Any) -> None:
    """Numbers, arrays, texts, and tables and rows of them."""
    if hasattr(one, "__dataclass_fields__"):
        one, other = vars(one), vars(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, str):
        assert one == other
    elif isinstance(one, list | tuple):
        for each, same in zip(one, other, strict=True):
            assert_alike(each, same)
    else:
        assert np.asarray(other) == pytest.approx(np.asarray(one), rel=1e-3, abs=1e-4)

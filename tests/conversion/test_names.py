"""The original module trees, written down from the public programs as generators of names, against our rules."""

import itertools
from collections.abc import Iterator

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_ltx2_audio_vae_to_diffusers
from diffusers.pipelines.ltx2 import LTX2VocoderWithBWE
from transformers import UMT5Config, UMT5EncoderModel

from vivace.conversion.names import ltx_audio_vae_names, ltx_vocoder_names, umt5_names, wan_vae_names
from vivace.conversion.released import LTX23_AUDIO, UMT5_XXL, WAN22_VAE

Shapes = dict[str, tuple[int, ...]]


def layer(name: str, out: int, into: int, *kernel: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into, *kernel)
    yield f"{name}.bias", (out,)


def residual(name: str, into: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.residual.0.gamma", (into, 1, 1, 1)
    yield from layer(f"{name}.residual.2", out, into, 3, 3, 3)
    yield f"{name}.residual.3.gamma", (out, 1, 1, 1)
    yield from layer(f"{name}.residual.6", out, out, 3, 3, 3)
    if into != out:
        yield from layer(f"{name}.shortcut", out, into, 1, 1, 1)


def middle(name: str, dim: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from residual(f"{name}.middle.0", dim, dim)
    yield f"{name}.middle.1.norm.gamma", (dim, 1, 1)
    yield from layer(f"{name}.middle.1.to_qkv", 3 * dim, dim, 1, 1)
    yield from layer(f"{name}.middle.1.proj", dim, dim, 1, 1)
    yield from residual(f"{name}.middle.2", dim, dim)


def wan22_vae() -> Iterator[tuple[str, tuple[int, ...]]]:
    """vae2_2.py: z 48, encoder from 160, decoder from 256, widths 1-2-4-4, time halved in the last two of three."""
    widths = [160, 160, 320, 640, 640]
    yield from layer("encoder.conv1", 160, 12, 3, 3, 3)
    for stage, (into, out) in enumerate(itertools.pairwise(widths)):
        name = f"encoder.downsamples.{stage}.downsamples"
        yield from residual(f"{name}.0", into, out)
        yield from residual(f"{name}.1", out, out)
        if stage < 3:
            yield from layer(f"{name}.2.resample.1", out, out, 3, 3)
        if stage in (1, 2):
            yield from layer(f"{name}.2.time_conv", out, out, 3, 1, 1)
    yield from middle("encoder", 640)
    yield "encoder.head.0.gamma", (640, 1, 1, 1)
    yield from layer("encoder.head.2", 96, 640, 3, 3, 3)
    yield from layer("conv1", 96, 96, 1, 1, 1)
    yield from layer("conv2", 48, 48, 1, 1, 1)
    widths = [1024, 1024, 1024, 512, 256]
    yield from layer("decoder.conv1", 1024, 48, 3, 3, 3)
    yield from middle("decoder", 1024)
    for stage, (into, out) in enumerate(itertools.pairwise(widths)):
        name = f"decoder.upsamples.{stage}.upsamples"
        yield from residual(f"{name}.0", into, out)
        yield from residual(f"{name}.1", out, out)
        yield from residual(f"{name}.2", out, out)
        if stage < 3:
            yield from layer(f"{name}.3.resample.1", out, out, 3, 3)
        if stage in (0, 1):
            yield from layer(f"{name}.3.time_conv", 2 * out, out, 3, 1, 1)
    yield "decoder.head.0.gamma", (256, 1, 1, 1)
    yield from layer("decoder.head.2", 12, 256, 3, 3, 3)


def umt5_xxl() -> Iterator[tuple[str, tuple[int, ...]]]:
    """t5.py: an encoder with a relative position bias in every block."""
    yield "token_embedding.weight", (256384, 4096)
    yield "norm.weight", (4096,)
    for block in range(24):
        name = f"blocks.{block}"
        yield from ((f"{name}.attn.{part}.weight", (4096, 4096)) for part in "qkvo")
        yield f"{name}.pos_embedding.embedding.weight", (32, 64)
        yield from ((f"{name}.norm{n}.weight", (4096,)) for n in (1, 2))
        yield from ((f"{name}.ffn.{part}.weight", (10240, 4096)) for part in ("gate.0", "fc1"))
        yield f"{name}.ffn.fc2.weight", (4096, 10240)


def vocoder(name: str, hidden: int, kernels: list[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """One generator of LTX-2.3's vocoder: a convolution, upsamplings with three residual blocks each, snakes."""

    def act(at: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from ((f"{at}.act.{part}", (width,)) for part in ("alpha", "beta"))
        yield from ((f"{at}.{part}.filter", (1, 1, 12)) for part in ("upsample", "downsample.lowpass"))

    yield from layer(f"{name}.conv_pre", hidden, 128, 7)
    width = hidden
    for stage, kernel in enumerate(kernels):
        yield f"{name}.ups.{stage}.weight", (width, width // 2, kernel)
        yield f"{name}.ups.{stage}.bias", (width // 2,)
        width //= 2
        for number, size in enumerate((3, 7, 11)):
            block = f"{name}.resblocks.{3 * stage + number}"
            for index in range(3):
                for half in (1, 2):
                    yield from layer(f"{block}.convs{half}.{index}", width, width, size)
                    yield from act(f"{block}.acts{half}.{index}", width)
    yield from act(f"{name}.act_post", width)
    yield f"{name}.conv_post.weight", (2, width, 7)


def ltx23_vocoder() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from vocoder("vocoder.vocoder", 1536, [11, 4, 4, 4, 4, 4])
    yield from vocoder("vocoder.bwe_generator", 512, [12, 11, 4, 4, 4])
    yield from ((f"vocoder.mel_stft.stft_fn.{part}_basis", (514, 1, 512)) for part in ("forward", "inverse"))
    yield "vocoder.mel_stft.mel_basis", (64, 257)


def shapes(model: torch.nn.Module, names: dict[str, str]) -> Shapes:
    state = model.state_dict()
    return {theirs: tuple(state[ours].shape) for ours, theirs in names.items()}


def test_wan_s_video_autoencoder() -> None:
    with torch.device("meta"):
        model = AutoencoderKLWan.from_config(WAN22_VAE)
    expected = dict(wan22_vae())
    assert len(expected) == 196
    assert shapes(model, wan_vae_names(model.state_dict())) == expected


def test_wan_s_text_encoder() -> None:
    with torch.device("meta"):
        model = UMT5EncoderModel(UMT5Config(**UMT5_XXL))
    ours = [name for name in model.state_dict() if name != "encoder.embed_tokens.weight"]
    expected = dict(umt5_xxl())
    assert len(expected) == 242
    assert shapes(model, umt5_names(ours)) == expected


def test_lightricks_vocoder() -> None:
    with torch.device("meta"):
        model = LTX2VocoderWithBWE.from_config(LTX23_AUDIO)
    expected = dict(ltx23_vocoder())
    assert len(expected) == 1227
    assert shapes(model, ltx_vocoder_names(model.state_dict())) == expected


def test_lightricks_audio_autoencoder_is_what_diffusers_maps() -> None:
    with torch.device("meta"):
        state = AutoencoderKLLTX2Audio.from_config(LTX23_AUDIO).state_dict()
    official = {theirs: state[ours] for ours, theirs in ltx_audio_vae_names(state).items()}
    assert all(name.startswith("audio_vae.") for name in official)
    assert convert_ltx2_audio_vae_to_diffusers(dict(official)).keys() == state.keys()

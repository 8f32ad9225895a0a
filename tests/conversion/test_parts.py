"""Parts from their original single files, at tiny sizes of the same classes."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from diffusers.pipelines.ltx2 import LTX2VocoderWithBWE
from safetensors.torch import save_file
from tests.tiny import tiny_text_encoder
from torch import nn
from transformers import UMT5EncoderModel

from vivace.conversion.folder import GrowingFolder, shards_of
from vivace.conversion.names import ltx_audio_vae_names, ltx_vocoder_names, umt5_names, wan_vae_names
from vivace.conversion.parts import Part, audio_vae_part, text_encoder_part, vae_part, vocoder_part
from vivace.errors import VivaceError

VAE = {
    "base_dim": 8,
    "decoder_base_dim": 8,
    "z_dim": 4,
    "dim_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 8,
    "latents_mean": [0.1] * 4,
    "latents_std": [2.0] * 4,
}
AUDIO_VAE = {"base_channels": 8, "ch_mult": [1, 1, 2], "num_res_blocks": 1}
_SMALL = {"upsample_kernel_sizes": [4], "upsample_factors": [2], "resnet_kernel_sizes": [3], "resnet_dilations": [[1]]}
VOCODER = {"hidden_channels": 16, "bwe_hidden_channels": 8, **_SMALL, **{f"bwe_{key}": x for key, x in _SMALL.items()}}


def written(part: Part, place: Path) -> Path:
    """The part as a folder of its own."""
    folder = GrowingFolder(place / "out", {})
    shards = shards_of(part, 10**9)
    folder.write(shards)
    folder.put_part(part, shards)
    folder.finish()
    return place / "out" / part.name


def assert_same(found: nn.Module, original: nn.Module) -> None:
    expected = original.state_dict()
    state = found.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())


def test_a_video_autoencoder_from_wan_s_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = AutoencoderKLWan.from_config(VAE)
    state = original.state_dict()
    torch.save({theirs: state[ours] for ours, theirs in wan_vae_names(state).items()}, tmp_path / "Wan2.2_VAE.pth")
    loaded = AutoencoderKLWan.from_pretrained(written(vae_part(tmp_path / "Wan2.2_VAE.pth", VAE), tmp_path))
    assert_same(loaded, original)
    assert loaded.config.latents_std == [2.0] * 4
    with pytest.raises(VivaceError, match="is not the vae"):
        vae_part(tmp_path / "Wan2.2_VAE.pth")


def test_a_text_encoder_from_wan_s_file(tmp_path: Path) -> None:
    original = tiny_text_encoder().bfloat16()
    state = {name: x for name, x in original.state_dict().items() if name != "encoder.embed_tokens.weight"}
    torch.save({theirs: state[ours] for ours, theirs in umt5_names(state).items()}, tmp_path / "umt5.pth")
    config = original.config.to_dict()
    place = written(text_encoder_part(tmp_path / "umt5.pth", "fp32", config), tmp_path)
    assert_same(UMT5EncoderModel.from_pretrained(place, dtype=torch.bfloat16), original)


@pytest.mark.parametrize(("dtype", "stored"), [("fp32", torch.float32), ("fp8_e4m3", torch.bfloat16)])
def test_a_wide_text_encoder_is_narrowed_unless_fp32_is_asked_for(
    tmp_path: Path, dtype: str, stored: torch.dtype
) -> None:
    tiny_text_encoder().save_pretrained(tmp_path / "encoder")
    part = text_encoder_part(tmp_path / "encoder", dtype)
    assert part.tensors is not None
    assert set(part.tensors.dtypes.values()) == {stored}


def test_both_audio_parts_from_one_file_that_holds_more(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae, vocoder = AutoencoderKLLTX2Audio.from_config(AUDIO_VAE), LTX2VocoderWithBWE.from_config(VOCODER)
    nn.init.normal_(vae.latents_mean)
    state = {ltx_audio_vae_names([name])[name]: x.contiguous() for name, x in vae.state_dict().items()}
    state |= {ltx_vocoder_names([name])[name]: x.contiguous() for name, x in vocoder.state_dict().items()}
    save_file({**state, "model.diffusion_model.proj_in.weight": torch.zeros(2)}, tmp_path / "ltx.safetensors")
    part = written(audio_vae_part(tmp_path / "ltx.safetensors", AUDIO_VAE), tmp_path)
    assert_same(AutoencoderKLLTX2Audio.from_pretrained(part), vae)
    (tmp_path / "second").mkdir()
    part = written(vocoder_part(tmp_path / "ltx.safetensors", VOCODER), tmp_path / "second")
    assert_same(LTX2VocoderWithBWE.from_pretrained(part), vocoder)
    save_file({**state, "audio_vae.extra": torch.zeros(2)}, tmp_path / "more.safetensors")
    with pytest.raises(VivaceError, match=r"1 tensor unexpected \(audio_vae.extra\)"):
        audio_vae_part(tmp_path / "more.safetensors", AUDIO_VAE)

import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan

from vivace.errors import VivaceError
from vivace.models.codecs import decode_audio, decode_video, encode_audio, encode_video
from vivace.models.mel import log_mel, mel_filters, mel_spectrogram
from vivace.models.vocoder import IstftVocoder


@pytest.fixture(scope="module", params=["wan 2.1 blocks", "wan 2.2 blocks"])
def vae(request: pytest.FixtureRequest) -> AutoencoderKLWan:
    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.0, 2.0, 0.5, 1.5],
        in_channels=48,
        out_channels=48,
        patch_size=4,
        scale_factor_spatial=16,
        is_residual=request.param == "wan 2.2 blocks",
    ).eval()


@pytest.fixture(scope="module")
def audio_vae() -> AutoencoderKLLTX2Audio:
    torch.manual_seed(0)
    return AutoencoderKLLTX2Audio(base_channels=8, ch_mult=(1, 1, 2), num_res_blocks=1).eval()


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_the_full_sequence_pass_equals_the_published_chunked_one(vae: AutoencoderKLWan, frames: int) -> None:
    pictures = torch.rand(1, 3, frames, 32, 48) * 2 - 1
    with torch.no_grad():
        mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
        std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
        published = vae.encode(pictures).latent_dist.mode()
        torch.testing.assert_close(encode_video(vae, pictures), (published - mean) / std, atol=1e-5, rtol=1e-4)
        ours = decode_video(vae, (published - mean) / std)
        torch.testing.assert_close(ours, vae.decode(published).sample, atol=1e-5, rtol=1e-4)
    assert ours.shape == pictures.shape


def test_sizes_that_do_not_fit_are_refused(vae: AutoencoderKLWan) -> None:
    with pytest.raises(VivaceError, match="multiples of 16"):
        encode_video(vae, torch.zeros(1, 3, 5, 32, 40))
    with pytest.raises(VivaceError, match="4 k"):
        encode_video(vae, torch.zeros(1, 3, 6, 32, 32))


def test_audio_tokens_have_the_published_shape_and_cover_the_clip(audio_vae: AutoencoderKLLTX2Audio) -> None:
    vocoder = IstftVocoder(dim=16, num_layers=1)
    with torch.no_grad():
        tokens = encode_audio(audio_vae, torch.randn(1, 2, 32667) * 0.1, 52)
        waveform = decode_audio(audio_vae, vocoder, tokens)
    assert tokens.shape == (1, 52, 128)
    assert waveform.shape == (1, 2, 205 * 160)
    assert waveform.shape[-1] >= 32667
    assert torch.isfinite(waveform).all()


def test_a_token_sees_no_later_sound_than_its_window(audio_vae: AutoencoderKLLTX2Audio) -> None:
    waveform = torch.randn(1, 2, 16000) * 0.1
    changed = waveform.clone()
    changed[..., 12000:] = 0
    with torch.no_grad():
        before, after = (encode_audio(audio_vae, w, 25) for w in (waveform, changed))
    # Sample 12000 is 0.75 s; a window of 64 ms reaches 32 ms ahead, so tokens that end before 0.718 s are untouched.
    torch.testing.assert_close(before[:, :17], after[:, :17])
    assert not torch.allclose(before[:, -1], after[:, -1])


def test_sound_after_the_clip_is_context_and_not_mirrored() -> None:
    t = torch.arange(20000) / 16000
    long = torch.sin(2 * torch.pi * 440 * t)[None, None]
    with_context = log_mel(long, 101)
    ended = log_mel(long[..., :16000], 101)
    torch.testing.assert_close(with_context[:, :, :96], ended[:, :, :96])
    assert with_context[0, 0, -1].max() > ended[0, 0, -1].max()


def test_a_spectrogram_made_in_inference_mode_does_not_spoil_later_training() -> None:
    mel_filters.cache_clear()
    with torch.inference_mode():
        log_mel(torch.zeros(1, 2, 1600), 5)
    waveform = torch.zeros(1, 2, 1600, requires_grad=True)
    log_mel(waveform, 5).sum().backward()
    assert waveform.grad is not None


def test_mel_bands_tile_the_spectrum_and_find_a_tone() -> None:
    filters = mel_filters(16000, 1024, 64)
    assert (filters.sum(1) > 0).all()
    t = torch.arange(16000) / 16000
    low = mel_spectrogram(torch.sin(2 * torch.pi * 300 * t)[None], 50)[0, 25].argmax()
    high = mel_spectrogram(torch.sin(2 * torch.pi * 3000 * t)[None], 50)[0, 25].argmax()
    assert 0 < low < high < 63


def test_the_vocoder_can_learn_a_tone() -> None:
    torch.manual_seed(0)
    t = torch.arange(8000) / 16000
    tone = (0.3 * torch.sin(2 * torch.pi * 500 * t)).expand(1, 2, -1)
    mel = log_mel(tone, 50)
    vocoder = IstftVocoder(dim=32, num_layers=1)
    optimizer = torch.optim.Adam(vocoder.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = (log_mel(vocoder(mel), 50) - mel).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


def test_the_vocoder_ends_no_louder_than_it_goes_on() -> None:
    torch.manual_seed(0)
    vocoder = IstftVocoder(dim=16, num_layers=1)
    with torch.no_grad():
        steady = vocoder(torch.full((8, 2, 50, 64), -3.0) + 0.5 * torch.randn(8, 2, 50, 64))
    last, before = steady[..., -80:].square().mean(), steady[..., 1600:6400].square().mean()
    assert last < 1.5 * before

"""Names and shapes of our networks against the manifests of the public files; the arithmetic of their inputs."""

import numpy as np
import pytest
import torch
from tests.perception.published.tiny_networks import TINY
from transformers import WavLMConfig

from vivace.models import audiobox, speaker_ecapa, syncnet
from vivace.models.audiobox import AXES, AudioboxAesthetics
from vivace.models.mfcc import mfcc
from vivace.models.speaker_ecapa import EcapaSpeakerEncoder
from vivace.models.syncnet import SyncNet
from vivace.models.wavlm import layer_states
from vivace.perception.published.weights import manifest


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def test_syncnet_has_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        own = shapes(SyncNet())
    assert {syncnet.public_name(name): shape for name, shape in own.items()} == manifest("syncnet")


def test_audiobox_has_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        own = {name: shape for name, shape in shapes(AudioboxAesthetics()).items() if not name.startswith("heads.")}
    assert {audiobox.own_name(name): shape for name, shape in manifest("audiobox_encoder").items()} == own


def test_the_speaker_encoder_has_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        own = shapes(EcapaSpeakerEncoder())
    assert {speaker_ecapa.own_name(name): shape for name, shape in manifest("wavlm_large_speaker").items()} == own


def test_heads_of_audiobox_as_the_configuration_says() -> None:
    with torch.device("meta"):
        own = shapes(AudioboxAesthetics(TINY, proj_num_layer=2, proj_ln=True))
    names = {name.removeprefix("heads.CE.") for name in own if name.startswith("heads.CE.")}
    assert names == {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}


def test_mfcc_equals_the_library_of_the_authors() -> None:
    n = np.arange(1600)
    wave = np.round(8000 * np.sin(2 * np.pi * 440 * n / 16000) + 3000 * np.sin(2 * np.pi * 2500 * n / 16000))
    found = mfcc(wave)
    # python_speech_features 0.6: mfcc(wave, 16000), first and last frame.
    first = [
        20.6896,
        1.9651,
        -17.6673,
        13.9365,
        -25.905,
        -69.0006,
        -15.3169,
        -0.1149,
        -34.1103,
        8.3381,
        41.7913,
        0.7905,
    ]
    last = [20.4632, 5.4787, -14.9147, 19.8475, -18.0599, -61.5653, -9.9991, 5.1614, -28.089, 11.2258, 41.8543, 1.5419]
    assert found.shape == (9, 13)
    assert found[0] == pytest.approx([*first, 0.151], abs=2e-3)
    assert found[-1] == pytest.approx([*last, -0.2304], abs=2e-3)
    assert np.isfinite(mfcc(np.zeros(1000))).all()


def test_syncnet_takes_windows() -> None:
    torch.manual_seed(0)
    model = SyncNet(width=0.02, dim=8).eval()
    with torch.no_grad():
        assert model.hear(torch.randn(2, 1, 13, 20)).shape == (2, 8)
        assert model.see(255 * torch.rand(1, 3, 5, 224, 224)).shape == (1, 8)


def test_layer_states_are_those_of_transformers() -> None:
    torch.manual_seed(0)
    for stable in (False, True):
        config = WavLMConfig(**{**TINY.to_dict(), "do_stable_layer_norm": stable})
        model = AudioboxAesthetics(config).wavlm.eval()
        sound = torch.randn(2, 3200)
        with torch.no_grad():
            states, frames = layer_states(model, sound)
            told = model(sound, output_hidden_states=True)
        # transformers gives the last one without the norm that follows it in the large model.
        due = (*told.hidden_states[:-1], told.last_hidden_state)
        assert frames.all()
        assert len(states) == len(due) == 3
        for state, other in zip(states, due, strict=True):
            assert torch.allclose(state, other, atol=1e-5)


def test_audiobox_hears_no_padding() -> None:
    torch.manual_seed(0)
    model = AudioboxAesthetics(TINY).eval()
    sound = torch.randn(1, 1600)
    padded = torch.nn.functional.pad(sound, (0, 1600))
    mask = torch.arange(3200)[None] < 1600
    with torch.no_grad():
        masked, heard = model(padded, mask), model(padded)
        # What lies beyond the mask's frames is nothing to the judgement.
        frames = layer_states(model.wavlm, padded, mask)[1]
    assert 0.45 < frames.float().mean() < 0.55
    assert set(masked) == set(AXES)
    assert any(abs(float(masked[axis] - heard[axis])) > 1e-6 for axis in AXES)


def test_the_speaker_encoder_ignores_loudness() -> None:
    torch.manual_seed(0)
    model = EcapaSpeakerEncoder(TINY, channels=16, pooled=24, hidden=4, groups=4, dim=6).eval()
    sound = torch.randn(1, 6400)
    with torch.no_grad():
        first, second = model(sound), model(0.1 * sound)
    assert first.shape == (1, 6)
    assert torch.allclose(first, second, atol=1e-4)

from pathlib import Path

import pytest
import torch

from vivace.data.fingerprint import weights_hash
from vivace.models.speaker import NanoSpeakerEncoder, SpeakerEncoder


@pytest.fixture(scope="module")
def encoder() -> NanoSpeakerEncoder:
    torch.manual_seed(0)
    return NanoSpeakerEncoder(dim=16, width=24, num_layers=2).eval()


def test_it_is_a_speaker_encoder_of_unit_vectors(encoder: NanoSpeakerEncoder) -> None:
    assert isinstance(encoder, SpeakerEncoder)
    assert (encoder.sample_rate, encoder.dim) == (16000, 16)
    vectors = encoder(torch.randn(3, 9000))
    assert vectors.shape == (3, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_loudness_does_not_matter_and_neighbours_do_not(encoder: NanoSpeakerEncoder) -> None:
    sound = torch.randn(2, 16000) * 0.1
    both = encoder(sound)
    torch.testing.assert_close(encoder(sound[:1]), both[:1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder(0.05 * sound), both, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("samples", [1, 100, 480000])
@torch.no_grad()
def test_any_length_is_taken(encoder: NanoSpeakerEncoder, samples: int) -> None:
    assert torch.isfinite(encoder(torch.randn(1, samples))).all()
    assert torch.isfinite(encoder(torch.zeros(1, samples))).all()


@torch.no_grad()
def test_half_precision_and_saving_keep_the_voice(encoder: NanoSpeakerEncoder, tmp_path: Path) -> None:
    sound = torch.randn(1, 16000)
    encoder.save_pretrained(tmp_path)
    again = NanoSpeakerEncoder.from_pretrained(tmp_path)
    assert weights_hash(again) == weights_hash(encoder)
    half = NanoSpeakerEncoder.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert half(sound).dtype == torch.float32
    assert float((half(sound) * encoder(sound)).sum()) > 0.99

"""CLIP on pictures and their text, through a tiny network of transformers."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.perception.published.test_picture_networks import TOWER, VISION
from tests.perception.published.tiny_networks import byte_tokenizer
from transformers import CLIPConfig, CLIPModel, RobertaTokenizerFast

from vivace.errors import VivaceError
from vivace.evaluation.embedding_scores import cosines
from vivace.evaluation.metric import Sample
from vivace.evaluation.published_pictures import clip_metrics
from vivace.media import Clip
from vivace.perception.published.clip_score import PICTURES, ClipVectors
from vivace.perception.published.weights import PUBLISHED

FRAMES = np.random.default_rng(0).integers(0, 255, (96, 20, 24, 3), dtype=np.uint8)


def clip_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    vocabulary, merges = byte_tokenizer(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    RobertaTokenizerFast(vocabulary, merges).save_pretrained(folder)
    text = {**TOWER, "vocab_size": 300, "max_position_embeddings": 12}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)).save_pretrained(folder)
    return folder


def test_clip_on_pictures_and_text(tmp_path: Path) -> None:
    network = ClipVectors(clip_folder(tmp_path))
    seen = network.of_pictures(FRAMES)
    assert seen.shape == (PICTURES, 12)
    # First and last picture are among those that are taken, whatever the batch.
    assert np.allclose(seen[[0, -1]], network.of_pictures(FRAMES[[0, -1]])[[0, -1]], atol=1e-5)
    assert np.allclose(seen, network.of_pictures(FRAMES, batch=48), atol=1e-5)
    assert network.of_pictures(FRAMES[:1]).shape == (PICTURES, 12)
    long = "a text that is far longer than twelve tokens"
    assert network.of_text(long).shape == (12,)
    (metric,) = clip_metrics(network)
    assert (metric.name,) == PUBLISHED["clip-b32"].metrics
    clip = Clip(FRAMES, Fraction(24), None, 16000)
    line = metric.update(Sample("a", clip, prompt="a red ball"))
    assert line["value"] == pytest.approx(float(cosines(seen, network.of_text("a red ball")).mean()), abs=1e-5)
    assert metric.update(Sample("b", clip)) == {"undefined": "no prompt is given"}


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    clip_folder(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(VivaceError, match="lacks CLIP's tokenizer"):
        ClipVectors(tmp_path)

"""Tiny random networks of the published architectures, saved as a user's folders and files would be."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    RobertaTokenizerFast,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMForXVector,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from vivace.models.audiobox import AXES, AudioboxAesthetics
from vivace.models.speaker_ecapa import EcapaSpeakerEncoder
from vivace.models.syncnet import SyncNet
from vivace.perception.published.syncnet import LipVectors

TINY = WavLMConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_buckets=8, conv_dim=(8, 8),
    conv_stride=(20, 16), conv_kernel=(20, 16), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
)  # fmt: skip


def sound(seconds: float = 1.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (2, round(seconds * rate))).astype(np.float32)


def audiobox_folder(folder: Path, *, wrapped: bool = False) -> Path:
    """With the names of the public file: transformers' names are none of them, so the map's identity would not do."""
    torch.manual_seed(0)
    state = AudioboxAesthetics(TINY, proj_num_layer=2).state_dict()
    tensors = {f"wavlm_model.{name[6:]}": value for name, value in state.items() if name.startswith("wavlm.")}
    rest = {name.replace("heads.", "proj_layer."): value for name, value in state.items() if name[:6] != "wavlm."}
    prefix = "encoder." if wrapped else ""
    save_file(
        {prefix + name: value.contiguous() for name, value in {**tensors, **rest}.items()}, folder / "model.safetensors"
    )
    settings = {"proj_num_layer": 2, "target_transform": {axis: {"mean": 5.0, "std": 2.0} for axis in AXES}}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def tiny_ecapa() -> EcapaSpeakerEncoder:
    return EcapaSpeakerEncoder(TINY, channels=16, pooled=24, hidden=4, groups=4, dim=6)


def seed_tts_file(folder: Path) -> Path:
    torch.manual_seed(0)
    state = tiny_ecapa().state_dict()
    tensors = {name.replace("wavlm.", "feature_extract.model.", 1): value for name, value in state.items()}
    torch.save({"model": {**tensors, "loss_calculator.projection.weight": torch.ones(2)}}, folder / "w.pth")
    return folder / "w.pth"


def wavlm_sv_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    head = {"tdnn_dim": [8, 8], "tdnn_kernel": [3, 1], "tdnn_dilation": [1, 1], "xvector_output_dim": 6}
    WavLMForXVector(WavLMConfig(**{**TINY.to_dict(), **head})).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def clap_folder(folder: Path) -> Path:
    torch.manual_seed(0)
    vocabulary, merges = byte_tokenizer(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    RobertaTokenizerFast(vocabulary, merges).save_pretrained(folder)
    ClapFeatureExtractor(truncation="fusion").save_pretrained(folder)
    config = ClapConfig(
        audio_config={
            "depths": [1, 1], "num_attention_heads": [1, 1], "patch_embeds_hidden_size": 8, "hidden_size": 16,
            "enable_fusion": True, "projection_dim": 12, "num_mel_bins": 64, "spec_size": 256, "num_hidden_layers": 2,
        },
        text_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
            "vocab_size": 300, "projection_dim": 12,
        },
        projection_dim=12,
    )  # fmt: skip
    ClapModel(config).save_pretrained(folder)
    return folder


def whisper_folder(folder: Path) -> Path:
    """A model for English alone."""
    torch.manual_seed(0)
    vocabulary, merges = byte_tokenizer(folder, ["<|endoftext|>"])
    tokenizer = WhisperTokenizer(vocabulary, merges)
    WhisperProcessor(WhisperFeatureExtractor(feature_size=16), tokenizer).save_pretrained(folder)
    config = WhisperConfig(
        vocab_size=300, num_mel_bins=16, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, decoder_start_token_id=1, eos_token_id=0,
        pad_token_id=0, bos_token_id=0, max_target_positions=12,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 6
    model.save_pretrained(folder)
    return folder


def tiny_lips() -> LipVectors:
    """SyncNet with hardly any channels, which no file holds."""
    torch.manual_seed(0)
    adapter = LipVectors.__new__(LipVectors)
    adapter.model = SyncNet(width=0.02, dim=8).eval()
    return adapter


def bytes_of(texts: list[str]) -> torch.Tensor:
    """Texts as numbers, cut or filled to eight."""
    return torch.tensor([list(text.encode()[:8].ljust(8)) for text in texts])


class TinyBind(torch.nn.Module):
    """Mean of each input's clips through a projection, as ImageBind averages its clips."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        ((name, x),) = inputs.items()
        x = x.float()
        flat = x.flatten(2).mean(1) if x.ndim > 4 else x.flatten(1)
        return {name: torch.stack([flat.mean(1), flat.std(1), flat.amax(1)], dim=1)}


def byte_tokenizer(folder: Path, special: list[str]) -> tuple[str, str]:
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(["a"], vocab_size=257 + len(special), special_tokens=special)
    tokenizer.save_model(str(folder))
    return str(folder / "vocab.json"), str(folder / "merges.txt")

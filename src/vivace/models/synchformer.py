"""Synchformer (Iashin et al. 2024, arXiv 2401.16423): by how much sound and pictures of 4.8 s are apart.

Written from the paper and its release's settings; `own_name` maps the names of the public weights. Segments of 0.64 s,
0.32 s apart, are read one by one by a video transformer whose attention goes over time, then over space
(Motionformer's divided form), and by an audio spectrogram transformer; a third one compares fourteen of them.
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.htk_mel import htk_filters
from vivace.models.vision_block import Mlp, SelfAttention, SeparateBlock

RATE, FPS, SIDE = 16000, 25.0, 224
PICTURES, PICTURES_APART = 16, 8  # of a segment
SAMPLES, SAMPLES_APART = 10240, 5120
SEGMENTS, CLASSES = 14, 21  # of a window; offsets
DIM, HEADS, LAYERS, SYNC_HEADS, SYNC_LAYERS = 768, 12, 12, 8, 3
_PATCH, _PATCH_TIME, _BANDS, _FRAMES, _STRIDE = 16, 2, 128, 66, 10
_FFT, _WINDOW, _HOP, _MEAN, _DEVIATION = 1024, 400, 160, -4.2677393, 4.5689974
_TIMES = PICTURES // _PATCH_TIME
_ROWS, _COLUMNS = (_BANDS - _PATCH) // _STRIDE + 1, (_FRAMES - _PATCH) // _STRIDE + 1


def spectrogram(segments: Tensor) -> Tensor:
    """Sound of segments [B, 10240] at 16 kHz to log-mel spectrograms as AST normalises them, [B, 128, 66]."""
    spectrum = torch.stft(segments, _FFT, _HOP, _WINDOW, torch.hann_window(_WINDOW), center=True, return_complex=True)
    filters = htk_filters(RATE, _FFT, _BANDS, 0.0, RATE / 2, straight_in_mel=False)
    logs = torch.log(filters @ spectrum.abs().square() + 1e-6)
    return (F.pad(logs, (0, _FRAMES - logs.shape[-1])) - _MEAN) / (2 * _DEVIATION)


class _Divided(SelfAttention):
    """Attention of patches to those of the same place (over time) or picture (over space), and to the class token."""

    def over(self, x: Tensor, *, time: bool) -> Tensor:
        """Tokens [B, 1 + times * places, D] to the same; the class token attends to all."""
        query, key, value = self.split(x)

        def groups(tokens: Tensor) -> Tensor:
            parts = tokens[:, :, 1:].unflatten(2, (_TIMES, -1))
            return parts.transpose(2, 3) if time else parts

        def with_class(tokens: Tensor) -> Tensor:
            parts = groups(tokens)
            first = tokens[:, :, :1, None].expand(-1, -1, parts.shape[2], -1, -1)
            return torch.cat([first, parts], dim=3)

        every = F.scaled_dot_product_attention(query[:, :, :1], key, value)
        mixed = F.scaled_dot_product_attention(groups(query), with_class(key), with_class(value))
        mixed = (mixed.transpose(2, 3) if time else mixed).flatten(2, 3)
        return self.proj(torch.cat([every, mixed], dim=2).transpose(1, 2).flatten(2))


class _VideoBlock(nn.Module):
    """Time, space, perceptron."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim, eps=1e-6) for _ in range(3))
        self.attn, self.timeattn, self.mlp = _Divided(dim, heads), _Divided(dim, heads), Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.timeattn.over(self.norm3(x), time=True)
        x = x + self.attn.over(self.norm1(x), time=False)
        return x + self.mlp(self.norm2(x))


class _Summary(nn.TransformerEncoderLayer):
    """A token that reads others, in one layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__(
            dim, heads, 4 * dim, dropout=0.0, activation=F.gelu, layer_norm_eps=1e-6, batch_first=True, norm_first=True
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))

    def of(self, tokens: Tensor) -> Tensor:
        """[..., N, D] to [..., D]."""
        flat = tokens.flatten(0, -3)
        read = self(torch.cat([self.cls_token.expand(len(flat), -1, -1), flat], dim=1))[:, 0]
        return read.unflatten(0, tokens.shape[:-2])


class _Video(nn.Module):
    def __init__(self, dim: int, heads: int, layers: int, side: int) -> None:
        super().__init__()
        places = (side // _PATCH) ** 2
        size = (_PATCH_TIME, _PATCH, _PATCH)
        self.patches = nn.Conv3d(3, dim, size, size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, places + 1, dim))
        self.temp_embed = nn.Parameter(torch.zeros(1, _TIMES, dim))
        self.blocks = nn.ModuleList([_VideoBlock(dim, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.summary = _Summary(dim, heads)

    def forward(self, pictures: Tensor) -> Tensor:
        """Segments [B, 3, 16, H, W] to [B, 8, D]."""
        x = self.patches(pictures).flatten(3).permute(0, 2, 3, 1)
        x = (x + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]).flatten(1, 2)
        special = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([special, x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.summary.of(self.norm(x[:, 1:]).unflatten(1, (_TIMES, -1)))


class _Sound(nn.Module):
    def __init__(self, dim: int, heads: int, layers: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, dim, _PATCH, _STRIDE)
        self.cls_token, self.distillation_token = (nn.Parameter(torch.zeros(1, 1, dim)) for _ in range(2))
        self.position_embeddings = nn.Parameter(torch.zeros(1, _ROWS * _COLUMNS + 2, dim))
        self.layers = nn.ModuleList([SeparateBlock(dim, 4 * dim, heads, eps=1e-12) for _ in range(layers)])
        self.layernorm = nn.LayerNorm(dim, eps=1e-12)
        self.summary = _Summary(dim, heads)

    def forward(self, bands: Tensor) -> Tensor:
        """`spectrogram`s [B, 128, 66] to [B, 6, D]."""
        x = self.patches(bands[:, None]).flatten(2).transpose(1, 2)
        special = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(x), -1, -1)
        x = torch.cat([special, x], dim=1) + self.position_embeddings
        for layer in self.layers:
            x = layer(x)
        return self.summary.of(self.layernorm(x)[:, 2:].unflatten(1, (_ROWS, _COLUMNS)).transpose(1, 2))


class _Comparison(nn.Module):
    def __init__(self, dim: int, heads: int, layers: int) -> None:
        super().__init__()
        self.vis_in_lnorm, self.aud_in_lnorm, self.ln_f = (nn.LayerNorm(dim) for _ in range(3))
        self.OFF_tok, self.MOD_tok = (nn.Parameter(torch.zeros(1, 1, dim)) for _ in range(2))
        self.positions = nn.Parameter(torch.zeros(1, SEGMENTS * (_TIMES + _COLUMNS) + 2, dim))
        self.blocks = nn.ModuleList([SeparateBlock(dim, 4 * dim, heads, eps=1e-5) for _ in range(layers)])
        self.off_head = nn.Linear(dim, CLASSES)

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """[B, 14 * 8, D] and [B, 14 * 6, D] to logits [B, 21]."""
        off, between = (token.expand(len(seen), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        x = torch.cat([off, self.vis_in_lnorm(seen), between, self.aud_in_lnorm(heard)], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.off_head(self.ln_f(x)[:, 0])


class Synchformer(nn.Module):
    """The whole; its classes are offsets from -2 to 2 s in steps of 0.2 s.

    Args:
        dim, heads, layers: of the two encoders; sync_heads, sync_layers: of the comparison. side: of a picture. The
            published network by default.
    """

    def __init__(
        self,
        dim: int = DIM,
        heads: int = HEADS,
        layers: int = LAYERS,
        sync_heads: int = SYNC_HEADS,
        sync_layers: int = SYNC_LAYERS,
        side: int = SIDE,
    ) -> None:
        super().__init__()
        self.video, self.sound = _Video(dim, heads, layers, side), _Sound(dim, heads, layers)
        self.vproj, self.aproj = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.comparison = _Comparison(dim, sync_heads, sync_layers)

    def see(self, pictures: Tensor) -> Tensor:
        """Segments of pictures [B, 3, 16, 224, 224], colours from -1 to 1, to [B, 8, D]."""
        return self.video(pictures)

    def hear(self, bands: Tensor) -> Tensor:
        """`spectrogram`s of segments [B, 128, 66] to [B, 6, D]."""
        return self.sound(bands)

    def compare(self, seen: Tensor, heard: Tensor) -> Tensor:
        """Fourteen segments of both, [B, 14, 8, D] and [B, 14, 6, D], to logits [B, 21]."""
        return self.comparison(self.vproj(seen).flatten(1, 2), self.aproj(heard).flatten(1, 2))


# (of the published file, here); the first that matches is applied.
_RULES: tuple[tuple[str, str], ...] = (
    (r"vfeat_extractor\.patch_embed_3d\.proj\.", r"video.patches."),
    (r"vfeat_extractor\.spatial_attn_agg\.", r"video.summary."),
    (r"vfeat_extractor\.", r"video."),
    (r"afeat_extractor\.freq_attn_agg\.", r"sound.summary."),
    (r"afeat_extractor\.ast\.embeddings\.patch_embeddings\.projection\.", r"sound.patches."),
    (r"afeat_extractor\.ast\.embeddings\.", r"sound."),
    (r"afeat_extractor\.ast\.encoder\.layer\.(\d+)\.attention\.attention\.", r"sound.layers.\1.attention."),
    (r"afeat_extractor\.ast\.encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"sound.layers.\1.attention.out."),
    (r"afeat_extractor\.ast\.encoder\.layer\.(\d+)\.intermediate\.dense\.", r"sound.layers.\1.mlp.fc1."),
    (r"afeat_extractor\.ast\.encoder\.layer\.(\d+)\.output\.dense\.", r"sound.layers.\1.mlp.fc2."),
    (r"afeat_extractor\.ast\.encoder\.layer\.(\d+)\.layernorm_before\.", r"sound.layers.\1.norm1."),
    (r"afeat_extractor\.ast\.encoder\.layer\.(\d+)\.layernorm_after\.", r"sound.layers.\1.norm2."),
    (r"afeat_extractor\.ast\.layernorm\.", r"sound.layernorm."),
    (r"transformer\.pos_emb_cfg\.pos_emb$", r"comparison.positions"),
    (r"transformer\.blocks\.(\d+)\.attn\.proj\.", r"comparison.blocks.\1.attention.out."),
    (r"transformer\.blocks\.(\d+)\.attn\.", r"comparison.blocks.\1.attention."),
    (r"transformer\.blocks\.(\d+)\.mlp\.0\.", r"comparison.blocks.\1.mlp.fc1."),
    (r"transformer\.blocks\.(\d+)\.mlp\.2\.", r"comparison.blocks.\1.mlp.fc2."),
    (r"transformer\.blocks\.(\d+)\.ln(\d)\.", r"comparison.blocks.\1.norm\2."),
    (r"transformer\.", r"comparison."),
)


def own_name(name: str) -> str:
    """The name in `Synchformer` of a tensor of the public weights."""
    for pattern, replacement in _RULES:
        if re.match(pattern, name):
            return re.sub(f"^(?:{pattern})", replacement, name)
    return name

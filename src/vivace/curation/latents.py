"""Prepared clips to latents of any codecs, on the GPU where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError


class LatentEncoder:
    """Both codecs, loaded once.

    Args:
        vae, audio_vae: folders of an AutoencoderKLWan and an AutoencoderKLLTX2Audio.

    Raises:
        VivaceError: codecs that cannot be loaded.
    """

    def __init__(self, vae: Path, audio_vae: Path) -> None:
        import torch
        from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan

        from vivace.data.fingerprint import weights_hash

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.vae = AutoencoderKLWan.from_pretrained(vae, torch_dtype=torch.float32).eval()
            self.audio_vae = AutoencoderKLLTX2Audio.from_pretrained(audio_vae, torch_dtype=torch.float32).eval()
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise VivaceError(f"The codecs of the shards cannot be loaded ({reason}); correct their folders.") from None
        self.hashes = {"vae": weights_hash(self.vae), "audio_vae": weights_hash(self.audio_vae)}
        self.vae.to(self.device)
        self.audio_vae.to(self.device)

    def __call__(
        self, tensors: Mapping[str, np.ndarray], row: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Latents in half precision with their row.

        Args:
            tensors: "video" uint8 [T, H, W, 3], "audio" int16 [2, N] and perhaps "references" uint8 [R, H, W, 3].
            row: of the clip, with its "audio_tokens".

        Raises:
            VivaceError, RuntimeError: what the codecs cannot encode.
        """
        import torch

        from vivace.models.codecs import encode_audio, encode_video

        with torch.inference_mode():
            pictures = _moved(tensors["video"], self.device)[None].permute(0, 4, 1, 2, 3) / 127.5 - 1
            video = encode_video(self.vae, pictures)[0].half().cpu()
            sound = _moved(tensors["audio"], self.device)[None] / 32768
            audio = encode_audio(self.audio_vae, sound, row["audio_tokens"])[0].half().cpu()
            found = {"video": video.clone(), "audio": audio.clone()}
            if "references" in tensors:
                seen = _moved(tensors["references"], self.device).permute(0, 3, 1, 2)[:, :, None] / 127.5 - 1
                stills = encode_video(self.vae, seen)[:, :, 0] if len(seen) else video[:, 0][None][:0]
                found["references"] = stills.half().cpu().clone()
        grid = dict(zip(("latent_frames", "latent_height", "latent_width"), video.shape[1:], strict=True))
        return found, {**row, **grid}


def _moved(values: np.ndarray, device: str) -> Any:
    import torch

    return torch.from_numpy(values).to(device).float()

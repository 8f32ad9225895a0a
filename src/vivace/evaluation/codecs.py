"""What the codecs lose: the ceiling of everything that is made with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.fidelity import buzz_db, end_click_db, modulation_energy, psnr, square_errors
from vivace.evaluation.matching import match_times
from vivace.media import Clip
from vivace.perception.onsets import detect_onsets
from vivace.timeline import Timeline

if TYPE_CHECKING:
    from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan

    from vivace.models.codecs import Vocoder


def round_trip_video(vae: AutoencoderKLWan, frames: np.ndarray) -> np.ndarray:
    """Pictures through the video codec and back. uint8 [T, H, W, 3] -> uint8 [T, H, W, 3]"""
    import torch

    from vivace.models.codecs import decode_video, encode_video

    parameter = next(vae.parameters())
    pixels = torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))[None]
    with torch.inference_mode():
        scaled = (pixels.to(parameter.device, torch.float32) / 127.5 - 1.0).to(parameter.dtype)
        decoded = decode_video(vae, encode_video(vae, scaled)).float().clamp(-1, 1)
    restored: np.ndarray = ((decoded[0].permute(1, 2, 3, 0) + 1.0) * 127.5).round().to(torch.uint8).cpu().numpy()
    return restored


def round_trip_audio(audio_vae: AutoencoderKLLTX2Audio, vocoder: Vocoder, audio: np.ndarray, tokens: int) -> np.ndarray:
    """Sound through the audio codec and back, cut or filled with silence to its own length. float32 [2, N] at 16 kHz"""
    import torch

    from vivace.models.codecs import decode_audio, encode_audio

    parameter = next(audio_vae.parameters())
    with torch.inference_mode():
        waveform = torch.from_numpy(np.ascontiguousarray(audio))[None].to(parameter.device, torch.float32)
        decoded = decode_audio(audio_vae, vocoder, encode_audio(audio_vae, waveform, tokens)).float()[0].cpu().numpy()
    made = np.zeros_like(audio)
    length = min(audio.shape[1], decoded.shape[1])
    made[:, :length] = decoded[:, :length].clip(-1, 1)
    return made


def round_trip(vae: AutoencoderKLWan, audio_vae: AutoencoderKLLTX2Audio, vocoder: Vocoder, clip: Clip) -> Clip:
    """A clip through both codecs and back; a side that is absent stays absent."""
    frames = None if clip.frames is None else round_trip_video(vae, clip.frames)
    audio = None
    if clip.audio is not None:
        audio = round_trip_audio(audio_vae, vocoder, clip.audio, _tokens(clip))
    return Clip(frames, clip.fps, audio, clip.sample_rate)


def codec_report(
    vae: AutoencoderKLWan, audio_vae: AutoencoderKLLTX2Audio, vocoder: Vocoder, clips: Iterable[Clip]
) -> dict[str, Any]:
    """Losses of the round trip over held-out clips: the figures of `reconstruction_report`.

    Raises:
        VivaceError: no clips.
    """
    return reconstruction_report((clip, round_trip(vae, audio_vae, vocoder, clip)) for clip in clips)


def reconstruction_report(pairs: Iterable[tuple[Clip, Clip]]) -> dict[str, Any]:
    """How far made clips are from the true ones, given as (true, made) of one size and length.

    Returns (figures of a side that no clip has are left out):
        n: clips.
        psnr, psnr_moving: dB, mean over the clips; moving pixels differ by more than 8/255 from the clip's median.
        psnr_pooled, psnr_moving_pooled: dB of the squared error pooled over all pixels (hard clips weigh more).
        log_mel_distance: mean |difference of ln(mel + 1e-5)|, 64 bands, hop 160 at 16 kHz.
        buzz_db: envelope modulation at 25 Hz and harmonics against the true clips', pooled; buzz_worst_db: worst clip.
        end_click_db, end_click_true_db: mean rise at the clip's end after the round trip and before;
            end_clicks: share of clips in which it exceeds the true clip's by more than 6 dB and is above 3 dB.
        onset_f1, onset_error_ms, onset_bias_ms: onsets found before and after, matched within 50 ms.

    Raises:
        VivaceError: no clips.
    """
    rows = [_compare(true, made) for true, made in pairs]
    if not rows:
        raise VivaceError("No clips were given to the codec report; give at least one.")
    shifts = [shift for row in rows for shift in row["shifts"]]
    seen = [row["error"] for row in rows if "error" in row]
    moving = [row["moving"] for row in rows if row.get("moving") is not None]
    report: dict[str, Any] = {"n": len(rows)}
    if seen:
        report |= {"psnr": _mean([psnr(error) for error in seen]), "psnr_pooled": psnr(_mean(seen))}
    if moving:
        report |= {"psnr_moving": _mean([psnr(error) for error in moving]), "psnr_moving_pooled": psnr(_mean(moving))}
    heard = [row for row in rows if "mel" in row]
    if heard:
        energy = sum(row["modulation"] for row in heard), sum(row["modulation_true"] for row in heard)
        events = sum(row["events"] for row in heard)
        report |= {
            "log_mel_distance": _mean([row["mel"] for row in heard]),
            "buzz_db": 10.0 * math.log10((energy[0] + 1e-12) / (energy[1] + 1e-12)),
            "buzz_worst_db": max((row["buzz"] for row in heard), key=abs),
            "end_click_db": _mean([row["click"] for row in heard]),
            "end_click_true_db": _mean([row["click_true"] for row in heard]),
            "end_clicks": _mean([float(row["click"] > max(3.0, row["click_true"] + 6.0)) for row in heard]),
            "onset_f1": 2.0 * len(shifts) / events if events else None,
            "onset_error_ms": 1000.0 * _mean([abs(shift) for shift in shifts]) if shifts else None,
            "onset_bias_ms": 1000.0 * _mean(shifts) if shifts else None,
        }
    return report


def log_mel_distance(true: np.ndarray, made: np.ndarray) -> float:
    """Mean |difference of ln(mel + 1e-5)|, 64 bands, hop 160. Both [C, N] at 16 kHz, of one length."""
    import torch

    from vivace.models.mel import log_mel

    frames = true.shape[1] // 160
    first, second = (log_mel(torch.from_numpy(np.ascontiguousarray(sound))[None], frames) for sound in (true, made))
    return float((first - second).abs().mean())


def _compare(true: Clip, made: Clip) -> dict[str, Any]:
    row: dict[str, Any] = {"shifts": []}
    if true.frames is not None and made.frames is not None:
        row["error"], row["moving"] = square_errors(true.frames, made.frames)
    if true.audio is not None and made.audio is not None:
        before = [onset.time for onset in detect_onsets(true.audio, true.sample_rate)]
        after = [onset.time for onset in detect_onsets(made.audio, made.sample_rate)]
        row |= {
            "mel": log_mel_distance(true.audio, made.audio),
            "buzz": buzz_db(true.audio, made.audio),
            "modulation": modulation_energy(made.audio),
            "modulation_true": modulation_energy(true.audio),
            "click": end_click_db(made.audio),
            "click_true": end_click_db(true.audio),
            "events": len(before) + len(after),
            "shifts": [after[j] - before[i] for i, j in match_times(before, after, 0.05)],
        }
    return row


def _tokens(clip: Clip) -> int:
    if clip.frames is not None:
        return Timeline(len(clip.frames), clip.fps).audio_tokens
    assert clip.audio is not None
    return Timeline.covering(clip.audio.shape[1] / clip.sample_rate).audio_tokens


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))

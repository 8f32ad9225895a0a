"""Sound out of a container, at exact places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vivace.errors import VivaceError
from vivace.media.clip import check_sample_rate

MAX_SAMPLES = 2**29
# A block that lies this far from where the one before it ended has been moved on purpose; less is rounding.
GAP_SECONDS = Fraction(1, 100)
# AAC may lose this many samples where a writer rounds its lengths.
LAST_BLOCK = 1024
# Codecs that overlap their blocks need the ones before to be heard right; the longest such run in use is 80 ms.
PREROLL_SECONDS = Fraction(1, 2)
# FFmpeg's converter takes no more.
MAX_CHANNELS = 64
# Samples this little beyond 1 are rounding: a step of 16 bits.
PEAK_SLACK = 1 / 32768
# Each channel's part in the left and the right side (ITU-R BS.775); those not named here go to both.
DOWNMIX = {
    "FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (0.7071, 0.7071), "LFE": (0.0, 0.0),
    "BL": (0.7071, 0.0), "BR": (0.0, 0.7071), "SL": (0.7071, 0.0), "SR": (0.0, 0.7071),
    "FLC": (0.9239, 0.3827), "FRC": (0.3827, 0.9239),
}  # fmt: skip


def decode_sound(
    path: Path,
    container: Any,
    stream: Any,
    begin: Fraction,
    length: Fraction | None,
    *,
    filled: bool,
    up_to: bool = False,
    tell: Callable[[str], None] = lambda change: None,
) -> tuple[np.ndarray, int]:
    """Sound from `begin` (seconds on the container's clock) for `length` seconds or to the end.

    Before the stream's beginning there is silence, and so there is after its end if `filled`; without it a part
    that the stream does not reach is refused, or with `up_to` cut short.

    Args:
        tell: is called with what is changed of the sound, as what may follow its name in a sentence.

    Returns:
        float32 [1 or 2, N] in [-1, 1] and its rate in Hz.

    Raises:
        VivaceError: the part reaches outside, the stream is damaged or truncated, too long to hold, of too many
            channels, or has samples that are not finite.
    """
    stream.thread_type = "AUTO"
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.layout.nb_channels
    check_sample_rate(rate)
    if channels > MAX_CHANNELS:
        raise VivaceError(
            f"File {str(path)!r} has {channels} channels of sound, more than the {MAX_CHANNELS} that can be read; "
            "mix it to 1 or 2 first."
        )
    wanted = None if length is None else round(length * rate)
    announced = None
    if stream.duration is not None:
        announced = round(((stream.duration + (stream.start_time or 0)) * stream.time_base - begin) * rate)
    shorter = up_to and not filled  # the sound may end before `length`, and nothing is filled in
    if not filled and announced is not None and announced < (1 if shorter else wanted or 1):
        raise VivaceError(_too_short(path, begin, announced / rate, (wanted or 1) / rate))

    blocks: list[np.ndarray] = [np.zeros((min(channels, 2), 0), np.float32)]
    reached = 0  # samples from `begin` that `blocks` hold
    for offset, block in _blocks(container, stream, begin, rate):
        gap = offset - reached
        # Within the stream, a small step is the rounding of its clock; a larger one was made on purpose.
        if reached == 0 or abs(gap) > GAP_SECONDS * rate:
            blocks.append(np.zeros((len(block), max(gap, 0)), np.float32))
            block = block[:, max(-gap, 0) :]
            reached += max(gap, 0)
        blocks.append(block)
        reached += block.shape[1]
        if reached > MAX_SAMPLES:
            raise VivaceError(f"File {str(path)!r} has more sound than fits in memory; read a part of it.")
        if wanted is not None and reached >= wanted:
            break

    promised = min(n for n in (announced, wanted, MAX_SAMPLES) if n is not None) if announced is not None else 0
    slack = LAST_BLOCK if "mp4" in container.format.name.split(",") else rate // 2
    if reached < promised - slack:
        raise VivaceError(
            f"File {str(path)!r} is truncated or damaged: {reached / rate:.3f} of {promised / rate:.3f} s of sound "
            "could be read; give an intact copy."
        )
    if not filled and reached < (1 if shorter else wanted or 1):
        raise VivaceError(_too_short(path, begin, reached / rate, (wanted or 1) / rate))
    # Codecs fill their last block with silence: the stream's length says where the sound really ends.
    audio = np.concatenate(blocks, axis=1)[:, : announced if announced is None else max(announced, 0)]
    if wanted is not None:
        missing = 0 if shorter else max(0, wanted - audio.shape[1])
        if missing > LAST_BLOCK:
            tell(f"has sound for {audio.shape[1] / rate:.2f} of its {wanted / rate:.2f} s; silence fills the rest")
        audio = np.pad(audio[:, :wanted], ((0, 0), (0, missing)))
    if not np.isfinite(audio).all():
        raise VivaceError(f"File {str(path)!r} has samples of sound that are no numbers; export it again.")
    peak = max(float(audio.max(initial=0)), -float(audio.min(initial=0)))
    if peak > 1 + PEAK_SLACK:
        tell(f"has samples up to {peak:.3g}, which are cut off at 1")
    return np.clip(audio, -1, 1), rate


def _too_short(path: Path, begin: Fraction, seconds: float, asked: float) -> str:
    if begin <= 0 and seconds <= 0:
        return f"The sound in file {str(path)!r} is empty; give one that lasts a while."
    return (
        f"File {str(path)!r} has {max(seconds, 0):.3f} s of sound from there on, less than the "
        f"{asked:.3f} s asked for; ask for an earlier or shorter part."
    )


def resample(audio: np.ndarray, rate: int, target: int) -> np.ndarray:
    """float32 [C, N] at `rate` to [C, round(N * target / rate)] at `target`; time 0 stays time 0."""
    if rate == target:
        return audio
    samples = round(Fraction(audio.shape[1] * target, rate))
    layout = "mono" if len(audio) == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=target)
    parts = []
    for start in range(0, audio.shape[1], rate):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(audio[:, start : start + rate]), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        parts += resampler.resample(frame)
    parts += resampler.resample(None)
    result = np.concatenate([part.to_ndarray() for part in parts], axis=1)[:, :samples]
    result = np.pad(result, ((0, 0), (0, samples - result.shape[1])))
    return np.clip(result, -1, 1)


def _blocks(container: Any, stream: Any, begin: Fraction, rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """Decoded blocks, at most stereo, with their offset in samples from `begin`; nothing that ends before it."""
    exact = "mp4" in container.format.name.split(",")
    if exact and begin > PREROLL_SECONDS:
        container.seek(int((begin - PREROLL_SECONDS) / stream.time_base), stream=stream, backward=True)
    # Packed: PyAV reads no more than eight planes, and crashes where a planar frame has more.
    packed = av.AudioResampler(format="flt")
    next_time: Fraction | None = None
    for frame in container.decode(stream):
        if frame.sample_rate != rate:
            raise av.error.InvalidDataError(0, "the sample rate changes midway")
        if frame.pts is not None:
            next_time = frame.pts * frame.time_base
        time = next_time or Fraction(0)
        next_time = time + Fraction(frame.samples, rate)
        names = [channel.name for channel in frame.layout.channels]
        for part in packed.resample(frame):
            block = _at_most_stereo(np.ascontiguousarray(part.to_ndarray().reshape(-1, len(names)).T), names)
            offset = round((time - begin) * rate)
            if offset + block.shape[1] > 0:
                yield offset, block


def _at_most_stereo(block: np.ndarray, names: list[str]) -> np.ndarray:
    if len(block) <= 2:
        return block
    gains = np.array([DOWNMIX.get(name, (0.5, 0.5)) for name in names], np.float32).T
    # Divided by their sum, so that no mix of full channels leaves [-1, 1].
    return (gains / gains.sum(1, keepdims=True)) @ block

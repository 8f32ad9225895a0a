"""How near a clip is to the true one: pictures, spectrum, buzz, the clip's end. numpy in, numbers out."""

from __future__ import annotations

import numpy as np

from vivace.perception.spectra import SAMPLE_RATE, mel_power

MOVING = 8.0  # of 255: a pixel further than this from its median over the clip moves
LATENT_RATE = 25.0  # audio tokens per second
_ENVELOPE_HOP = 80  # 5 ms: modulation up to 100 Hz
_ENVELOPE_WINDOW = 128  # 8 ms
END_CLICK_SECONDS = 0.125  # that `end_click_db` needs


def psnr(square_error: float) -> float:
    """dB for pictures of 0 to 255; 100 for an error too small to matter."""
    return float(min(100.0, 10.0 * np.log10(255.0**2 / max(square_error, 1e-12))))


def moving_pixels(frames: np.ndarray) -> np.ndarray:
    """Pixels that differ by more than 8/255, in any channel, from their median over the clip. [T, H, W] bool

    Args:
        frames: uint8 [T, H, W, 3].
    """
    median = np.median(frames, axis=0).astype(np.int16)
    moving: np.ndarray = (np.abs(frames.astype(np.int16) - median) > MOVING).any(axis=-1)
    return moving


def square_errors(true: np.ndarray, made: np.ndarray) -> tuple[float, float | None]:
    """Mean squared error over all pixels, and over the moving pixels of the true clip (None where nothing moves)."""
    error = (true.astype(np.float32) - made.astype(np.float32)) ** 2
    moving = moving_pixels(true)
    return float(error.mean()), float(error[moving].mean()) if moving.any() else None


def modulation_energy(sound: np.ndarray, rate: float = LATENT_RATE) -> float:
    """Energy of the envelope's modulation at `rate` and its harmonics up to 100 Hz, summed over 16 bands and channels.

    The envelope is the amplitude in 16 mel bands every 5 ms; each line is taken 1.5 Hz wide to either side.

    Args:
        sound: [C, N] at 16 kHz.
    """
    envelope = np.sqrt(mel_power(sound, hop=_ENVELOPE_HOP, window=_ENVELOPE_WINDOW, bands=16))
    count = envelope.shape[1]
    spectrum = np.abs(np.fft.rfft(envelope * np.hanning(count)[None, :, None], axis=1)) ** 2
    frequencies = np.fft.rfftfreq(count, _ENVELOPE_HOP / SAMPLE_RATE)
    harmonics = np.arange(rate, 100.0, rate)
    lines = (np.abs(frequencies[:, None] - harmonics) <= 1.5).any(axis=1)
    return float(spectrum[:, lines].sum() / count)


def buzz_db(true: np.ndarray, made: np.ndarray) -> float:
    """Modulation energy at the latent rate of the made sound against the true one, dB; both [C, N] at 16 kHz."""
    return float(10.0 * np.log10((modulation_energy(made) + 1e-12) / (modulation_energy(true) + 1e-12)))


def end_click_db(sound: np.ndarray) -> float:
    """How far the sound's high part rises in the last 20 ms above the loudest 5 ms of the 100 ms before them, dB.

    Measured on the first difference (which favours what is heard as a click), not below 60 dB under the clip's peak:
    a clip that rings or fades out gives 0 or less, a click at the cut a clearly positive number.

    Args:
        sound: [C, N] at 16 kHz, at least `END_CLICK_SECONDS`.
    """
    block = _ENVELOPE_HOP
    edge = np.diff(sound, axis=1)
    count = edge.shape[1] // block
    blocks = edge[:, edge.shape[1] - count * block :].reshape(len(edge), count, block)
    power = (blocks**2).mean(axis=(0, 2))
    floor = 1e-6 * power.max() + 1e-14
    return float(10.0 * np.log10(max(power[-4:].max(), floor) / max(power[-24:-4].max(), floor)))

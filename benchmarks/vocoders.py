"""Two vocoders at equal compute: our inverse transform and LTX-2's, each with and without a discriminator.

    python -m benchmarks.vocoders [--clips runs/nano-nava/clips-codec]... [--validation runs/nano-nava/clips-validation]
        [--held-out 32] [--seconds 420] [--trial-seconds 30] [--rounds 8] [--seed 0] [--batch 4] [--tokens 33]
        [--threads 1] [--folder runs/vocoders] [--output vocoders.json]

writes vocoders.json, and beside it the table as vocoders.md.

Four variants begin at random weights and see the same crops in the same order, those of the audio codec's training
(`vivace.training.audio_codec`), as true log-mel spectrograms: the vocoder alone is compared, without the autoencoder
before it. "spectral" is that training's loss of the waveform: its log-mel distance, and `stft_loss` over several
resolutions. "adversarial" adds a small multi-resolution discriminator (`SpectrumDiscriminator`, hinge loss, feature
matching). It comes in after the first third of the time: until then the made sound is told from the true one by its
spectrum alone, which the spectral losses mend at less cost a step.

Every variant is given the same CPU time (`--seconds`, process time). It is turned into steps beforehand, by the median
time of a step, all kinds of steps measured in turn in one process: what else the machine does then weighs on all alike,
and a run can be repeated step by step. The time that the training then took is told beside it. Each vocoder takes the
best of `CANDIDATES`, optimisers and their rates, in a trial of `--trial-seconds` each, by the training loss of its last
fifth. Learning rates rise over the first steps and fall to zero over the last third. All is in float32, and nothing is
averaged over steps.

`--folder` keeps what is finished: the trials, step times, and each variant's figures and weights. The same command goes
on after them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.vocoder_training import (
    ADVERSARIAL_WEIGHT,
    DISCRIMINATOR_CHANNELS,
    DISCRIMINATOR_RATE,
    FEATURE_WEIGHT,
    ISTFT,
    LTX2,
    WINDOWS,
    Plan,
    Rates,
    SpectrumDiscriminator,
    Training,
    new_vocoder,
    over_time,
    trained,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vivace.errors import VivaceError
from vivace.evaluation.codecs import log_mel_distance, reconstruction_report
from vivace.evaluation.paired import paired_difference
from vivace.media import Clip, replacing
from vivace.models.mel import log_mel
from vivace.plain_json import read_object
from vivace.training.audio_codec import HOP, SAMPLE_RATE, AudioCodecObjective, AudioCodecRecipe, stft_loss

FAMILIES = ("istft", "ltx2")
VARIANTS = ("istft spectral", "istft adversarial", "ltx2 spectral", "ltx2 adversarial")
DIFFERENCES = (
    ("istft spectral", "ltx2 spectral"),
    ("istft adversarial", "ltx2 adversarial"),
    ("istft adversarial", "istft spectral"),
    ("ltx2 adversarial", "ltx2 spectral"),
)
# The last is what the audio codec's training has.
CANDIDATES = (Rates("adamw", 5e-4), Rates("adamw", 2e-3), Rates("muon", 1e-3))


@dataclass(frozen=True)
class Settings:
    """What must be equal for results to stand in one table; paths as given."""

    clips: tuple[str, ...]
    validation: str
    held_out: int
    seconds: float
    trial_seconds: float
    rounds: int
    seed: int
    batch: int
    tokens: int
    threads: int

    def data(self) -> AudioCodecObjective:
        """The audio codec's training, of which the crops and the weights of the losses are taken.

        Raises:
            VivaceError: a folder holds no finished shards.
        """
        recipe = {
            "unit": "audio-codec",
            "seed": self.seed,
            "clips": self.clips,
            "validation": self.validation,
            "model": {"base_channels": 16, "ch_mult": [1, 3, 6], "num_res_blocks": 1},
            "batch": self.batch,
            "tokens": self.tokens,
            "loop": {"steps": 1},
        }
        return AudioCodecObjective(AudioCodecRecipe.model_validate(recipe))


def seconds_in_turn(makers: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each call over rounds in which all are made in turn, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in makers}
    for number in range(rounds + 1):
        for name, make in makers.items():
            start = time.process_time()
            make()
            if number:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def step_times(trainings: Mapping[str, tuple[Training, bool]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of a step of each training, with the discriminator where it says so."""
    counts = dict.fromkeys(trainings, 0)

    def stepped(name: str) -> None:
        training, adversarial = trainings[name]
        training.step(counts[name], 0.01, adversarial)
        counts[name] += 1

    return seconds_in_turn({name: lambda name=name: stepped(name) for name in trainings}, rounds)  # type: ignore[misc]


def size_of(family: str) -> dict[str, float]:
    """Parameters, and multiply-adds of a second of stereo sound (convolutions and products; no Fourier transforms)."""
    vocoder = new_vocoder(family, 0).requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        vocoder(torch.zeros(1, 2, SAMPLE_RATE // HOP, 64))
    return {
        "parameters": sum(parameter.numel() for parameter in vocoder.parameters()),
        "multiply_adds_per_second": counter.get_total_flops() / 2,
    }


def held_out(settings: Settings, data: AudioCodecObjective) -> dict[str, np.ndarray]:
    """The held-out sounds by their names. float32 [2, N]"""
    reader = data.validation
    count = min(settings.held_out, len(reader))
    return {reader.ids[k]: (reader.get(k)["audio"].float() / 32768).numpy() for k in range(count)}


def measured(vocoder: nn.Module, sounds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """How near held-out sounds are after spectrogram and vocoder.

    Returns:
        the figures of `reconstruction_report`, "stft" (mean of `stft_loss`), and both distances by clip.
    """
    pairs: list[tuple[Clip, Clip]] = []
    clips: dict[str, dict[str, float]] = {}
    vocoder.eval()
    for name, sound in sounds.items():
        waveform = torch.from_numpy(sound)[None]
        with torch.inference_mode():
            made = vocoder(log_mel(waveform, sound.shape[1] // HOP + 1))[..., : sound.shape[1]].clamp(-1, 1)
            stft = float(stft_loss(made, waveform))
        again = made[0].numpy()
        clips[name] = {"log_mel_distance": log_mel_distance(sound, again), "stft": stft}
        pairs.append((_heard(sound), _heard(again)))
    report = reconstruction_report(pairs)
    return {**report, "stft": statistics.fmean(clip["stft"] for clip in clips.values()), "clips": clips}


def _heard(sound: np.ndarray) -> Clip:
    return Clip(None, Fraction(24), sound, SAMPLE_RATE)


class Kept:
    """Finished parts of a run in a folder, each a JSON file with the settings that it was made with."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = json.loads(json.dumps(asdict(settings)))

    def of(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The part of that name, made now where there is none.

        Raises:
            VivaceError: what is there was made with other settings, or is damaged.
        """
        path = self.folder / f"{name.replace(' ', '-')}.json"
        if not path.is_file():
            found = {"settings": self.settings, "found": make()}
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(found, indent=1) + "\n")
        stored = read_object(path, "remove it and run this again", what="Result")
        if stored.get("settings") != self.settings:
            raise VivaceError(f"Result {str(path)!r} was made with other settings; remove it or name another folder.")
        found_again: dict[str, Any] = stored["found"]
        return found_again


def chosen_rates(settings: Settings, data: AudioCodecObjective) -> dict[str, Any]:
    """Both vocoders with each of the candidates for a short time; "chosen" is the best of each by the training loss at
    the end of its trial."""
    trials = {f"{family} {rates.kind} {rates.rate:g}": (family, rates) for family in FAMILIES for rates in CANDIDATES}

    def fresh(name: str) -> Training:
        return Training(*trials[name], data, settings.seed)

    times = step_times({name: (fresh(name), False) for name in trials}, settings.rounds)
    results: dict[str, dict[str, Any]] = {}
    for name in trials:
        history = trained(fresh(name), Plan.of(settings.trial_seconds, times[name]))
        end = statistics.fmean(line["spectral"] for line in history[-max(1, len(history) // 5) :])
        spent = history[-1]["cpu_seconds"]
        results[name] = {"steps": len(history), "cpu_seconds": spent, "loss_at_the_end": end}
    chosen = {}
    for family in FAMILIES:
        own = [name for name in trials if trials[name][0] == family]
        best = min(own, key=lambda name: float(results[name]["loss_at_the_end"]))
        chosen[family] = asdict(trials[best][1])
    return {"candidates": results, "chosen": chosen}


def prices(settings: Settings, data: AudioCodecObjective, rates: Mapping[str, Rates]) -> dict[str, Any]:
    """CPU seconds of a step of each variant once it has its discriminator, and of decoding 2 s, all taken in turn."""
    trainings = {}
    for variant in VARIANTS:
        family, losses = variant.split()
        training = Training(family, rates[family], data, settings.seed)
        trainings[variant] = (training, losses == "adversarial")
    mel = torch.zeros(1, 2, 2 * SAMPLE_RATE // HOP + 1, 64)
    with torch.inference_mode():
        decoders = {family: trainings[f"{family} spectral"][0].vocoder for family in rates}
        makers = {family: lambda vocoder=vocoder: vocoder(mel) for family, vocoder in decoders.items()}
        decode = seconds_in_turn(makers, 2 * settings.rounds)
    return {"step": step_times(trainings, settings.rounds), "decode_2s": decode}


def variant_figures(
    variant: str, settings: Settings, data: AudioCodecObjective, rates: Rates, step: Mapping[str, float], folder: Path
) -> dict[str, Any]:
    """Train one variant for its time and measure it; its weights are kept in the folder."""
    family, losses = variant.split()
    joined = step[variant] if losses == "adversarial" else None
    plan = Plan.of(settings.seconds, step[f"{family} spectral"], joined)
    training = Training(family, rates, data, settings.seed)
    history = trained(training, plan)
    saved: Any = training.vocoder
    saved.save_pretrained(folder / variant.replace(" ", "-"))
    return {
        "rates": asdict(rates),
        "steps": plan.steps,
        "steps_without_discriminator": plan.spectral,
        "cpu_seconds": history[-1]["cpu_seconds"],
        "losses": over_time(history),
        "held_out": measured(training.vocoder, held_out(settings, data)),
    }


def compared(settings: Settings, folder: Path) -> dict[str, Any]:
    """Everything, finished parts taken from the folder.

    Raises:
        VivaceError: no shards, too few held-out clips, or a folder of other settings.
    """
    data = settings.data()
    if min(settings.held_out, len(data.validation)) < 2:
        raise VivaceError(f"Folder {settings.validation!r} gives fewer than 2 held-out clips; take 2 or more.")
    kept = Kept(folder, settings)
    trial = kept.of("trial", lambda: chosen_rates(settings, data))
    rates = {family: Rates(**trial["chosen"][family]) for family in FAMILIES}
    times = kept.of("prices", lambda: prices(settings, data, rates))
    variants = {}
    for variant in VARIANTS:
        own = rates[variant.split()[0]]
        make = partial(variant_figures, variant, settings, data, own, times["step"], folder)
        variants[variant] = kept.of(variant, make)
    changes = {}
    for first, second in DIFFERENCES:
        clips = [variants[name]["held_out"]["clips"] for name in (first, second)]
        changes[f"{first} - {second}"] = {
            figure: _change(*({name: clip[figure] for name, clip in each.items()} for each in clips))
            for figure in ("log_mel_distance", "stft")
        }
    return {
        "settings": asdict(settings),
        "training_clips": len(data.sources),
        "held_out_clips": variants[VARIANTS[0]]["held_out"]["n"],
        "configurations": {"istft": ISTFT, "ltx2": LTX2},
        "sizes": {family: size_of(family) for family in rates},
        "discriminator": {
            "windows": WINDOWS,
            "channels": DISCRIMINATOR_CHANNELS,
            "parameters": sum(x.numel() for size in WINDOWS for x in SpectrumDiscriminator(size).parameters()),
            "rate": DISCRIMINATOR_RATE,
            "adversarial_weight": ADVERSARIAL_WEIGHT,
            "feature_weight": FEATURE_WEIGHT,
        },
        "trial": trial,
        "cpu_seconds": times,
        "variants": variants,
        "differences": changes,
    }


def _change(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    found = paired_difference(first, second)
    return {"value": found.mean, "low": found.low, "high": found.high, "n": found.n}


def markdown(found: Mapping[str, Any]) -> str:
    """The table for a reader: a row for each variant, then the differences clip by clip."""
    head = [
        "vocoder",
        "parameters",
        "multiply-adds of 1 s",
        "s per step",
        "steps",
        "s to decode 2 s",
        "log-mel distance",
        "stft loss",
        "buzz (dB)",
        "end clicks",
        "onset F1",
        "onset error (ms)",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, variant in found["variants"].items():
        family = name.split()[0]
        size, own = found["sizes"][family], variant["held_out"]
        cells = [
            name,
            f"{size['parameters'] / 1e6:.2f} M",
            f"{size['multiply_adds_per_second'] / 1e9:.2f} G",
            f"{found['cpu_seconds']['step'][name]:.3f}",
            f"{variant['steps']}",
            f"{found['cpu_seconds']['decode_2s'][family]:.3f}",
            f"{own['log_mel_distance']:.3f}",
            f"{own['stft']:.3f}",
            f"{own['buzz_db']:+.1f}",
            f"{own['end_clicks']:.2f}",
            "" if own["onset_f1"] is None else f"{own['onset_f1']:.3f}",
            "" if own["onset_error_ms"] is None else f"{own['onset_error_ms']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| difference, clip by clip | log-mel distance | stft loss |", "|---|---|---|"]
    for name, change in found["differences"].items():
        cells = [f"{c['value']:+.3f} [{c['low']:+.3f}, {c['high']:+.3f}]" for c in change.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    settings = found["settings"]
    best = ", ".join(f"{name}: {each['kind']} at {each['rate']:g}" for name, each in found["trial"]["chosen"].items())
    trial = ", ".join(f"{name}: {each['loss_at_the_end']:.3f}" for name, each in found["trial"]["candidates"].items())
    spent = ", ".join(f"{variant['cpu_seconds']:.0f}" for variant in found["variants"].values())
    told = (
        f"True log-mel spectrograms to sound; {found['training_clips']} clips to train on and "
        f"{found['held_out_clips']} held out, 95 % intervals over clips, one seed ({settings['seed']}). Each variant "
        f"has the steps that {settings['seconds']:g} s of CPU time buy at the "
        f"median time of a step, taken in turn before (in the trainings themselves the machine then took {spent} s); "
        f"the discriminator ({found['discriminator']['parameters'] / 1e3:.0f} k parameters) comes in after a third. "
        f"The optimisers ({best}) are those with the least training loss at the end of trials of "
        f"{settings['trial_seconds']:g} s ({trial}). Written by `{found['command']}`."
    )
    return "\n".join(["# Two vocoders at equal compute", "", *lines, "", told, ""])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", action="append", help="folder of training shards; repeat")
    parser.add_argument("--validation", default="runs/nano-nava/clips-validation")
    parser.add_argument("--held-out", type=int, default=32, help="clips to measure on")
    parser.add_argument("--seconds", type=float, default=420.0, help="CPU time of each variant's training")
    parser.add_argument("--trial-seconds", type=float, default=30.0, help="CPU time of each rate's trial")
    parser.add_argument("--rounds", type=int, default=8, help="steps of which the median time is taken")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=33, help="length of a crop (25 a second)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/vocoders"), help="for finished parts")
    parser.add_argument("--output", type=Path, default=Path("vocoders.json"))
    words = sys.argv[1:] if arguments is None else arguments
    asked = parser.parse_args(words)
    options = {name: value for name, value in vars(asked).items() if name not in ("folder", "output", "clips")}
    settings = Settings(clips=tuple(asked.clips or ["runs/nano-nava/clips-codec"]), **options)
    torch.set_num_threads(settings.threads)
    found = {"command": shlex.join(["python", "-m", "benchmarks.vocoders", *words]), **compared(settings, asked.folder)}
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    texts = {asked.output: json.dumps(found, indent=1) + "\n", asked.output.with_suffix(".md"): markdown(found)}
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text)
    print(markdown(found))


if __name__ == "__main__":
    try:
        main()
    except VivaceError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None

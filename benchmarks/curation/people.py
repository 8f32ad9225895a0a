"""Stages that look at who says what: speech, captions, subjects, pairs."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.curation.counting import Row, Table, covered, share, thresholds, word_errors
from benchmarks.curation.shots import Shot, Timer

from vivace.curation.caption import Caption, parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.pairs import Pairs, PairSettings
from vivace.curation.stages.speech import SpeechSettings
from vivace.curation.stages.subjects import SubjectSettings
from vivace.media import Clip as Material
from vivace.media import peak_limited, write_clip
from vivace.timeline import Timeline
from vivace.world.footage_cast import recurring_scene
from vivace.world.picture import render_video
from vivace.world.sound import render_audio

ASKED = 8  # captions for which the endpoint is asked, each with all slips
TAKES_OF_EACH, FIRST_PERSON = 4, 900
LIKENESS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Faults under which the caption still says what is heard.
HEARD_AS_SAID = ("", "swapped")


def speech(shots: Sequence[Shot]) -> Table:
    """Words and times of what is said; shots with a fault of their own are left out."""
    measured = [shot for shot in shots if shot.fault in HEARD_AS_SAID and "speech.words" in shot.clip.columns]
    talking = [shot for shot in measured if shot.truth["speakers"]]
    quiet = [shot for shot in measured if not shot.truth["speakers"]]
    said, wrong = sum(len(_said(shot)) for shot in talking), sum(map(_errors, talking))
    spans = [[[a - shot.offset, b - shot.offset] for a, b in shot.truth["spans"]] for shot in talking]
    heard = [[[s["start"], s["end"]] for s in shot.clip["speech.sentences"]] for shot in talking]
    both = sum(covered(a, b) for a, b in zip(spans, heard, strict=True))
    rows: list[Row] = [
        {"figure": "word error rate", "of": f"{said} words", "value": share(wrong, said)},
        {"figure": "recall of speech", "of": "seconds said", "value": share(both, _seconds(spans))},
        {"figure": "precision of speech", "of": "seconds heard", "value": share(both, _seconds(heard))},
        {
            "figure": "words where nobody speaks",
            "of": f"{len(quiet)} shots",
            "value": share(sum(bool(shot.clip["speech.words"]) for shot in quiet), len(quiet)),
        },
    ]
    bound = SpeechSettings.model_validate({}).bounds["unsure_words"]
    points = []
    for least in thresholds([shot.clip["speech.confidence"] for shot in measured], bound.least):
        kept = [shot for shot in talking if (shot.clip["speech.confidence"] or 0.0) >= least]
        others = [shot for shot in quiet if shot.clip["speech.words"] and shot.clip["speech.confidence"] >= least]
        points.append(
            {
                "threshold": round(least, 4),
                "talk kept": share(len(kept), len(talking)),
                "word error rate of it": share(sum(map(_errors, kept)), sum(len(_said(shot)) for shot in kept)),
                "others with words": share(len(others), len(quiet)),
            }
        )
    told = f"{len(talking)} shots of talk, by the shipped recogniser of the world's words."
    return Table("speech", told, rows if talking else [], {"speech.confidence": points})


def _said(shot: Shot) -> list[str]:
    return " ".join(piece.words for piece in parse(shot.truth["caption"]).said).lower().split()


def _errors(shot: Shot) -> int:
    return word_errors(_said(shot), [word["word"].lower() for word in shot.clip["speech.words"]])


def _seconds(groups: Sequence[Sequence[Sequence[float]]]) -> float:
    return sum(end - start for spans in groups for start, end in spans)


# What goes wrong in a model's answer: a name, and what becomes of a right answer.
SLIPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("as asked", lambda text: text),
    ("in a code fence", lambda text: f"```\n{text}\n```"),
    ("after a thought", lambda text: f"<think>Narration: who?</think>\n{text}"),
    ("after a polite sentence", lambda text: f"Sure! Here it is:\n{text}"),
    ("headings in bold", lambda text: text.replace("Visual:", "**Visual:**").replace("Narration:", "**Narration:**")),
    ("tags in small letters", lambda text: text.replace("<W>", "<w>").replace("</W>", "</w>").replace("<I>", "< i >")),
    ("tags of another form", lambda text: text.replace("<W>", "<S>").replace("</W>", "<E>")),
    ("last tag not closed", lambda text: text[: text.rfind("</")] if "</" in text else text),
    ("somebody not described", lambda text: text.replace("Narration: ", "Narration: [S9] looks on, ")),
    ("without a narration", lambda text: text.partition("Narration:")[0]),
    ("a refusal", lambda text: "I am sorry, but I cannot describe this video."),
    ("nothing", lambda text: ""),
    ("not finished", lambda text: f"cut{text}"),
    ("other words", lambda text: text.replace("<W>", "<W>nine ").replace("<I>", "<I>not ")),
)


def captions(shots: Sequence[Shot]) -> Table:
    """What becomes of broken answers, given by an endpoint on this machine."""
    told_of = {shot.truth["caption"]: shot for shot in shots if not shot.fault}
    # Talk first: it has the most that can go wrong.
    chosen = sorted(told_of.values(), key=lambda shot: -len(shot.truth["speakers"]))[:ASKED]
    rows: list[Row] = []
    with _endpoint() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        stage = Captions(CaptionSettings(backend=url, model="m", pictures=1, sound=False, attempts=1))
        counts = {name: Counter[str]() for name, _ in SLIPS}
        for shot in chosen:
            for name, slip in SLIPS:
                server.answer = slip(shot.truth["caption"])
                counts[name][_outcome(stage.measure(shot.clip), parse(shot.truth["caption"]))] += 1
    for name, found in counts.items():
        rows.append({"answer": name, "asked": found.total()} | {end: found[end] for end in OUTCOMES})
    told = (
        "Answers of an endpoint that are broken in known ways. Repaired: what is described, said and heard is as it "
        "should be. Wrongly accepted: it is not, and the answer is used all the same; invented words are left to "
        "`subjects`, which compares them with what is heard."
    )
    return Table("captions", told, rows if chosen else [])


OUTCOMES = ("right at once", "repaired", "rejected", "wrongly accepted")


def _outcome(found: Clip | Rejected, wanted: Caption) -> str:
    if isinstance(found, Rejected):
        return "rejected"
    given = parse(found["captions.text"])
    if (given.subjects, given.said, given.sounds, given.speakers()) != (
        wanted.subjects,
        wanted.said,
        wanted.sounds,
        wanted.speakers(),
    ):
        return "wrongly accepted"
    return "repaired" if found["captions.state"] == "repaired" else "right at once"


class _Server(ThreadingHTTPServer):
    """Answers every question with `answer`; one that begins with "cut" as if it had been cut off there."""

    answer = ""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        text = self.server.answer
        choice: dict[str, Any] = {"message": {"content": text.removeprefix("cut")}}
        if text.startswith("cut"):
            choice["finish_reason"] = "length"
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


@contextmanager
def _endpoint() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def subjects(shots: Sequence[Shot]) -> Table:
    """What subject-speech correction does to wrong captions and to right ones, and to voices of somebody else."""
    talking = [shot for shot in shots if shot.truth["speakers"] and "captions.text" in shot.clip.columns]
    rows: list[Row] = []
    for kind, faults in (("wrong", ("swapped",)), ("right", ("",)), ("of another voice", ("dubbed", "off-screen"))):
        for people in (1, 2, 3):
            group = [
                shot
                for shot in talking
                if shot.fault in faults and len(parse(shot.truth["caption"]).subjects) == people
            ]
            if not group:
                continue
            reasons = Counter(reason for shot in group if (reason := _reason(shot)))
            kept = [shot for shot in group if not _reason(shot)]
            right = [shot for shot in kept if _is_right(shot)] if kind != "of another voice" else []
            rows.append(
                {
                    "caption before": kind,
                    "people": people,
                    "shots": len(group),
                    "right after": len(right),
                    "wrong after": len(kept) - len(right),
                    "rejected": ", ".join(f"{n} {name}" for name, n in reasons.items()) or 0,
                }
            )
    told = "Kept captions are right where each speech has its true speaker; of another voice none can be."
    return Table("subjects", told, rows, _subject_curves(talking))


def _subject_curves(talking: Sequence[Shot]) -> dict[str, list[Row]]:
    """Each bound by itself, the others left out: shares of all shots of each sort that were measured."""
    measured = [shot for shot in talking if "subjects.text" in shot.clip.columns]
    wrong, right = ([shot for shot in measured if shot.fault == fault] for fault in ("swapped", ""))
    foreign = [shot for shot in measured if shot.fault in ("dubbed", "off-screen")]
    curves = {}
    for reason, bound in SubjectSettings.model_validate({}).bounds.items():
        points = []
        for least in thresholds([shot.clip.get(bound.column) for shot in measured], bound.least):
            other = bound.model_copy(update={"least": least})

            def kept(group: Sequence[Shot], other: Any = other) -> list[Shot]:
                return [shot for shot in group if other.holds(shot.clip.get(other.column))]

            points.append(
                {
                    "threshold": round(least, 4),
                    "wrong put right": share(sum(map(_is_right, kept(wrong))), len(wrong)),
                    "right broken": share(sum(not _is_right(shot) for shot in kept(right)), len(right)),
                    "right rejected": share(len(right) - len(kept(right)), len(right)),
                    "other voices kept": share(len(kept(foreign)), len(foreign)),
                }
            )
        curves[f"{reason}, {bound.column}"] = points
    return curves


def _reason(shot: Shot) -> str:
    return next((shot.rejected[name] for name in ("speech", "captions", "subjects") if name in shot.rejected), "")


def _is_right(shot: Shot) -> bool:
    return parse(shot.clip["subjects.text"]).speakers() == list(shot.truth["speakers"])


def pairs(folder: Path, size: int, people: int, timer: Timer) -> Table:
    """Partners of clips in which people come again, in other clothes and places; every clip is a file."""
    stage = Pairs(PairSettings.model_validate({}))
    clips: list[Clip] = []
    person: dict[str, int] = {}
    for number in range(people):
        for take in range(TAKES_OF_EACH):
            path = folder / f"{number}-{take}.mp4"
            if not path.exists():
                timeline = Timeline.covering(2.4)
                scene = recurring_scene(FIRST_PERSON + number, take, float(timeline.seconds))
                audio = peak_limited(render_audio(scene, timeline).astype(np.float32))
                write_clip(path, Material(render_video(scene, timeline, size, size), Fraction(24), audio, 16000))
            found = timer(stage, Clip.of_file(path))
            assert isinstance(found, Clip)
            clips.append(found)
            person[found.id] = number
    clips.sort(key=lambda clip: clip.id)

    def figures(settings: PairSettings) -> Row:
        partners = {d.clip: str(d.columns["partner"]) for d in Pairs(settings).decide(clips)}
        right = sum(person[clip] == person[other] for clip, other in partners.items())
        return {
            "with a partner": share(len(partners), len(clips)),
            "recall": share(right, len(clips)),
            "precision": share(right, len(partners)),
        }

    points = [{"threshold": least, **figures(stage.settings.model_copy(update={"least": least}))} for least in LIKENESS]
    faces = sum(bool(clip["pairs.face"]) for clip in clips)
    row = {"people": people, "clips": len(clips), "with one face": faces, **figures(stage.settings)}
    told = (
        "The same people in several clips each, elsewhere, in other clothes and light. Precision: partners that are "
        "the same person; recall: clips that have such a partner."
    )
    return Table("pairs", told, [row], {"least likeness": points})

"""Networks of others in a curation: tiny ones with random weights, saved as a user's folders would be."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.curation.test_clip_stages import knocks, moving
from tests.curation.test_engine import Here, curate
from tests.evaluation.test_published import CLIP
from tests.perception.published.test_picture_networks import laion_folder, save_head
from tests.perception.published.tiny_networks import clap_folder, tiny_lips

from vivace.curation.clip import Clip, Rejected
from vivace.curation.funnel import passages
from vivace.curation.ledger_reader import LedgerReader
from vivace.curation.quality_models import MOVING, STILLS, WITH_CAPTION, ask
from vivace.curation.recipe import CurationRecipe, check_recipe
from vivace.curation.stage import apply, plan
from vivace.curation.stages.published import Agreement, AgreementSettings, Published, PublishedSettings
from vivace.errors import VivaceError
from vivace.evaluation import published, published_pictures, published_sound, published_sync
from vivace.evaluation.metric import Sample
from vivace.evaluation.published import lip_sync_metrics, published_metrics
from vivace.media import Clip as Material
from vivace.media import write_clip
from vivace.perception.published.aesthetic import LAION_HEAD, AestheticPredictor
from vivace.perception.published.clap import Clap
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene

CAPTION = "Visual: a wall\nNarration: <I>a knock on wood</I>, then <I>rain</I>"


@pytest.fixture(scope="module")
def laion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laion_folder(tmp_path_factory.mktemp("laion"))


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clap_folder(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return saved(tmp_path_factory.mktemp("clip") / "a.mp4", Material(moving(30), Fraction(24), knocks(1.25), 16000))


def saved(path: Path, material: Material) -> Clip:
    write_clip(path, material)
    return Clip.of_file(path)


def recipe(**tables: Any) -> CurationRecipe:
    return check_recipe({"output": "out", "input": {"folder": "in"}, **tables}, "r.toml")


def test_nothing_is_loaded_or_planned_without_weights() -> None:
    found = recipe()
    assert not {"published", "agreement"} & {planned.name for planned in found.planned()}
    assert not recipe(published={"use": False, "weights": {"clap": "nowhere"}}).published.use


def test_every_column_is_a_figure_that_needs_nothing_but_clip_and_caption() -> None:
    none: Any = None
    given: dict[str, list[Any]] = {
        "dnsmos": [*published_sound.dnsmos_metrics(none)],
        "audiobox": [*published.audiobox_metrics(none)],
        "syncnet": [*lip_sync_metrics(none)],
        "synchformer": [*published_sync.desync_metrics(none)],
        "cavp": [*published_sync.cavp_metrics(none)],
        "raft": [*published_pictures.flow_metrics(none)],
        "imagebind": [*published.imagebind_metrics(none)],
        "clap": [*published.clap_metrics(none)],
        "clip-b32": [*published_pictures.clip_metrics(none)],
    }
    given |= {key: [*published_pictures.score_metrics(key, none)] for key in STILLS}
    for table, shown in ((STILLS, set()), (MOVING, {"ref:face_tracks"}), (WITH_CAPTION, {"ref:audio_prompt"})):
        for key, columns in table.items():
            metrics = {metric.name: metric for metric in given[key]}
            for column in columns:
                assert metrics[column].requires <= {"pictures", "sound", *shown}


def test_aesthetics_of_a_few_pictures_and_a_bound_on_them(laion: Path, clip: Clip) -> None:
    frames = clip.material().frames
    assert frames is not None
    scores = AestheticPredictor.laion(laion)(frames[[0, 14, 29]])
    given = {"weights": {"laion-aesthetic": str(laion)}, "pictures": 3}
    found = Published(PublishedSettings.model_validate(given)).measure(clip)
    assert isinstance(found, Clip)
    assert found["published.aesthetic_laion"] == pytest.approx(scores.mean(), abs=2e-5)
    assert found["published.undefined"] == {}
    for least, kept in ((scores.mean() - 0.01, True), (scores.mean() + 0.01, False)):
        bounds = {"plain": {"column": "published.aesthetic_laion", "least": float(least)}}
        judged = apply(Published(PublishedSettings.model_validate({**given, "bounds": bounds})), clip)
        assert isinstance(judged, Clip) == kept
        assert kept or (isinstance(judged, Rejected) and judged.reason == "plain")


def test_lips_of_the_faces_that_are_seen(clip: Clip, tmp_path: Path) -> None:
    timeline = Timeline.covering(2.0)
    scene = sample_scene(5, "train", kind="talk", seconds=float(timeline.seconds))
    talk = Material(
        render_video(scene, timeline, 128, 128), timeline.fps, render_audio(scene, timeline), timeline.sample_rate
    )
    # No file holds a SyncNet of this size, so that the network is put in place of the file's.
    (tmp_path / "syncnet.model").write_bytes(b"")
    stage = Published(PublishedSettings.model_validate({"weights": {"syncnet": str(tmp_path / "syncnet.model")}}))
    stage.__dict__["_judges"] = lip_sync_metrics(tiny_lips())
    found = stage.measure(saved(tmp_path / "talk.mp4", talk))
    assert isinstance(found, Clip)
    assert found["published.sync_c_any_track"] > 0
    assert found["published.sync_offset_any_track"] % 40 == 0
    assert "longer than 100 pictures" in found["published.undefined"]["sync_c"]  # the published pipeline takes none
    without = stage.measure(clip)
    assert isinstance(without, Clip)
    assert without["published.sync_c"] is None
    assert "no face track" in without["published.undefined"]["sync_c"]


def test_sound_against_the_captions_sound_events(clap: Path, clip: Clip) -> None:
    stage = Agreement(AgreementSettings.model_validate({"weights": {"clap": str(clap)}}))
    audio = clip.material().audio
    assert audio is not None
    network = Clap(clap)
    found = stage.measure(clip.with_columns("captions", text=CAPTION))
    assert isinstance(found, Clip)
    due = float(network.of_sound(audio, 16000) @ network.of_text("a knock on wood, rain"))
    assert found["agreement.clap_score"] == pytest.approx(due, abs=2e-5)
    assert not {"agreement.clap_pair_sqdist"} & found.columns.keys()
    silent = stage.measure(clip.with_columns("captions", text="Visual: a wall\nNarration: nothing"))
    assert isinstance(silent, Clip)
    assert silent["agreement.clap_score"] is None
    assert "audio_prompt" in silent["agreement.undefined"]["clap_score"]


def test_a_clip_that_a_network_refuses_has_no_figure_and_is_not_lost(clap: Path) -> None:
    class Small:
        def __call__(self, frames: np.ndarray) -> np.ndarray:
            raise VivaceError("Pictures of 96x96 hold no crop of 224x224; give larger ones.")

    (judge,) = published_pictures.score_metrics("maniqa", Small())  # type: ignore[arg-type]
    found, reasons = ask([judge], Sample("a", CLIP))  # type: ignore[list-item]
    assert found == {"maniqa": None}
    assert "hold no crop" in reasons["maniqa"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"published": {"weights": {"whisper": "w"}}}, "weights 'whisper' are of no network that is asked here"),
        ({"published": {"weights": {"musiq": "nowhere.pth"}}}, "'nowhere.pth', where a file is due"),
        ({"agreement": {"weights": {"clap": "nowhere"}}}, "'nowhere', where a folder is due"),
        ({"published": {"use": True}}, "no weights are named"),
        ({"published": {"bounds": {"plain": {"column": "published.musiq", "least": 40}}}}, "no weights are named"),
    ],
)
def test_what_is_missing_is_told_when_the_recipe_is_checked(table: dict[str, Any], told: str) -> None:
    with pytest.raises(VivaceError, match=told) as caught:
        recipe(**table)
    assert str(caught.value).endswith("correct it.")


def test_a_bound_on_what_the_weights_do_not_give_is_refused(laion: Path) -> None:
    bounds = {"plain": {"column": "published.aesthetic", "least": 4.5}}
    with pytest.raises(VivaceError, match="they give aesthetic_laion"):
        recipe(published={"weights": {"laion-aesthetic": str(laion)}, "bounds": bounds})


def test_weights_of_another_network_are_told_before_anything_is_curated(tmp_path: Path) -> None:
    folder = laion_folder(tmp_path)
    ready = recipe(published={"weights": {"laion-aesthetic": str(folder)}}, shards={"use": False})
    ready.check_ready()
    save_head(folder / LAION_HEAD, "laion_aesthetic", 9)
    with pytest.raises(VivaceError, match="another"):
        ready.check_ready()


def test_a_package_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ready = recipe(published={"weights": {"dnsmos": str(tmp_path)}}, shards={"use": False})
    with pytest.raises(VivaceError, match=r"onnxruntime .*; see to that, or take 'dnsmos' out") as caught:
        ready.check_ready()
    assert "--weights" not in str(caught.value)
    assert published_metrics({"dnsmos": tmp_path})[0] == []


def test_the_key_follows_the_weights_content_and_not_their_place(tmp_path: Path) -> None:
    def key(path: Path) -> str:
        settings = PublishedSettings.model_validate({"weights": {"musiq": str(path)}})
        return plan([Published(settings)])[0].key

    one, two = tmp_path / "one.pth", tmp_path / "two.pth"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    first = key(one)
    assert key(two) == first
    two.write_bytes(b"abcd")
    assert key(two) != first


def test_the_key_follows_what_is_in_a_folder(tmp_path: Path) -> None:
    def key() -> str:
        return plan([Published(PublishedSettings.model_validate({"weights": {"audiobox": str(tmp_path)}}))])[0].key

    (tmp_path / "config.json").write_text("{}")
    first = key()
    assert key() == first
    (tmp_path / "config.json").write_text("[]")
    assert key() != first


def test_another_bound_asks_no_network_again(laion: Path, clip: Clip, tmp_path: Path) -> None:
    def run(**more: Any) -> tuple[int, int, int]:
        settings = PublishedSettings.model_validate({"weights": {"laion-aesthetic": str(laion)}, **more})
        # Stages travel to other processes.
        (stage,) = pickle.loads(pickle.dumps([Published(settings)]))
        asked = Here()
        curate(tmp_path, [clip], [stage], asked)
        with LedgerReader(tmp_path) as ledger:
            (found,) = passages(ledger)
        return len(asked.measured), found.kept, sum(found.rejected.values())

    assert run() == (1, 1, 0)
    assert run(bounds={"plain": {"column": "published.aesthetic_laion", "least": 1e6}}) == (0, 0, 1)
    assert run(pictures=2) == (1, 1, 0)

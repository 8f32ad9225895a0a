"""A curation's recipe: TOML, checked in full before anything is read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vivace.curation.engine import Executor
from vivace.curation.guard import Limits
from vivace.curation.local import cores, run_local
from vivace.curation.on_ray import ray_workers, run_on_ray
from vivace.curation.shards import ShardSettings, check_shards
from vivace.curation.sources import InputSettings
from vivace.curation.stage import Planned, SetStage, Stage, plan
from vivace.curation.stages.balance import Balance, BalanceSettings
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.clarity import Clarity, ClaritySettings
from vivace.curation.stages.coherence import Coherence, CoherenceSettings
from vivace.curation.stages.duplicates import Duplicates, DuplicateSettings
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.labels import Labels, LabelSettings
from vivace.curation.stages.pairs import Pairs, PairSettings
from vivace.curation.stages.picture import Picture, PictureSettings
from vivace.curation.stages.published import Agreement, AgreementSettings, Published, PublishedSettings
from vivace.curation.stages.sound import Sound, SoundSettings
from vivace.curation.stages.speech import Speech, SpeechSettings
from vivace.curation.stages.split import Split, SplitSettings
from vivace.curation.stages.subjects import Subjects, SubjectSettings
from vivace.errors import VivaceError


class ExecutorSettings(BaseModel):
    """Who does the work."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["local", "ray"] = "local"
    workers: int = Field(default=0, ge=0, description="processes; 0 takes one per core")
    gpus: float = Field(default=0.0, ge=0, description="of each worker under Ray; less than one: a part of one")
    attempts: int = Field(default=2, ge=1, description="failures after which a clip is set aside")
    patience: int = Field(default=50, ge=1, description="failures in a row after which the run stops")
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _gpus_can_be_given(self) -> ExecutorSettings:
        if self.gpus and self.kind != "ray":
            raise ValueError("executor.gpus is given out by Ray alone, other workers see every GPU; leave it out")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError("executor.gpus is a part of one GPU or a whole number; round it")
        return self

    def executor(self) -> Executor:
        """Who moves the jobs."""
        return run_local if self.kind == "local" else partial(run_on_ray, gpus=self.gpus)

    def workers_at_hand(self) -> int:
        """Workers that a run would have now.

        Raises:
            VivaceError: as `ray_workers`.
        """
        return self.workers or cores() if self.kind == "local" else ray_workers(self.workers, self.gpus)


class StageTables(BaseModel):
    """The settings of all stages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ingest: IngestSettings = Field(default_factory=lambda: IngestSettings.model_validate({}))
    split: SplitSettings = Field(default_factory=lambda: SplitSettings.model_validate({}))
    duplicates: DuplicateSettings = Field(default_factory=lambda: DuplicateSettings.model_validate({}))
    picture: PictureSettings = Field(default_factory=lambda: PictureSettings.model_validate({}))
    sound: SoundSettings = Field(default_factory=lambda: SoundSettings.model_validate({}))
    coherence: CoherenceSettings = Field(default_factory=lambda: CoherenceSettings.model_validate({}))
    published: PublishedSettings = Field(default_factory=lambda: PublishedSettings.model_validate({}))
    speech: SpeechSettings = Field(default_factory=lambda: SpeechSettings.model_validate({}))
    captions: CaptionSettings = Field(default_factory=lambda: CaptionSettings.model_validate({}))
    subjects: SubjectSettings = Field(default_factory=lambda: SubjectSettings.model_validate({}))
    agreement: AgreementSettings = Field(default_factory=lambda: AgreementSettings.model_validate({}))
    clarity: ClaritySettings = Field(default_factory=lambda: ClaritySettings.model_validate({}))
    labels: LabelSettings = Field(default_factory=lambda: LabelSettings.model_validate({}))
    balance: BalanceSettings = Field(default_factory=lambda: BalanceSettings.model_validate({}))
    pairs: PairSettings = Field(default_factory=lambda: PairSettings.model_validate({}))

    def stages(self) -> list[Stage]:
        """Those in use, in the order in which they run."""
        found: list[Stage] = [
            Ingest(self.ingest),
            Split(self.split),
            Picture(self.picture),
            Sound(self.sound),
            Coherence(self.coherence),
            # After quality, so that a sound copy does not fall to a larger faulty one; before what costs most.
            Duplicates(self.duplicates),
            Published(self.published),
            Speech(self.speech),
            Captions(self.captions),
            Subjects(self.subjects),
            Agreement(self.agreement),
            Clarity(self.clarity),
            Labels(self.labels, "subjects" if self.subjects.use else "captions"),
            Balance(self.balance, [stage.name for stage in (Coherence, Sound) if getattr(self, stage.name).use]),
            Pairs(self.pairs),
        ]
        return [stage for stage in found if stage.settings.use]


class CurationRecipe(StageTables):
    """Everything of a curation."""

    output: Path
    input: InputSettings
    executor: ExecutorSettings = ExecutorSettings()
    shards: ShardSettings = ShardSettings()

    @model_validator(mode="after")
    def _output_is_no_input(self) -> CurationRecipe:
        folder = self.input.folder
        if folder is not None and self.output.resolve().is_relative_to(folder.resolve()):
            raise ValueError("output lies in input.folder, where a next run would take it for footage; choose another")
        return self

    @model_validator(mode="after")
    def _compares_with_others(self) -> CurationRecipe:
        if self.duplicates.use and any(p.resolve().parent == self.output.resolve() for p in self.duplicates.against):
            raise ValueError("duplicates.against names this run's own ledger, in which every clip repeats itself")
        return self

    @model_validator(mode="after")
    def _references_have_pairs(self) -> CurationRecipe:
        if self.shards.use and self.shards.references != "none" and not self.pairs.use:
            raise ValueError("shards.references needs the stage pairs; set its use to true")
        return self

    @model_validator(mode="after")
    def _answers_fit_into_the_limit(self) -> CurationRecipe:
        if self.captions.use:
            self.captions.check_patience(self.executor.limits.seconds)
        return self

    def check_ready(self) -> None:
        """Tell at once what would fail only when much is done.

        Raises:
            VivaceError: as `check_shards`, `Captions.check` and `NetworkSettings.load`.
        """
        check_shards(self.shards)
        if self.captions.use:
            Captions(self.captions).check()
        for networks in (self.published, self.agreement):
            if networks.use:
                networks.load()  # and dropped: every worker has its own

    def planned(self) -> list[Planned]:
        """The stages in use, with their keys.

        Raises:
            VivaceError: one that another needs is switched off; a bound on a column of no stage before it, or one of
                a stage that decides over the set.
        """
        for needed in (self.ingest, self.split):
            if not needed.use:
                raise VivaceError("Stages ingest and split cannot be left out; set their use to true.")
        used = self.stages()
        known = {"input"}
        for stage in used:
            known.add(stage.name)
            if stage.settings.bounds and isinstance(stage, SetStage):
                raise VivaceError(
                    f"Bound {stage.name}.{next(iter(stage.settings.bounds))} would not be looked at, since "
                    f"{stage.name!r} decides over the whole set; give it to the next stage that does not."
                )
            for reason, bound in stage.settings.bounds.items():
                if bound.use and bound.column.partition(".")[0] not in known:
                    raise VivaceError(
                        f"Bound {stage.name}.{reason} is on {bound.column!r}, which is measured by no stage up to "
                        f"{stage.name!r}; correct its column."
                    )
        return plan(used)


def load_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> CurationRecipe:
    """A recipe from its file.

    Relative paths in it are relative to the folder in which the command runs.

    Raises:
        VivaceError: no such file, no TOML, a key that is unknown or missing, a value out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VivaceError(f"Recipe {str(path)!r} does not exist; see docs/curation.md for one.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise VivaceError(f"Recipe {str(path)!r} cannot be read as TOML ({error}); correct it.") from None
    return check_recipe({**data, **(overrides or {})}, str(path))


def check_recipe(data: Mapping[str, Any], name: str) -> CurationRecipe:
    """A recipe from plain values.

    Raises:
        VivaceError: as `load_recipe`.
    """
    try:
        recipe = CurationRecipe.model_validate(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        said = [".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]
        raise VivaceError(f"Recipe {name!r}: {': '.join(filter(None, said))}; correct it.") from None
    recipe.planned()
    return recipe

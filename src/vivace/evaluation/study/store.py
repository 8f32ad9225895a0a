"""A study's folder while it runs: who was given what, and every vote, written down at once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from vivace.errors import VivaceError
from vivace.evaluation.study.assignment import Side, Task, assign
from vivace.evaluation.study.design import read_design
from vivace.media import replacing

Answer = Literal["left", "same", "right"]
ANSWERS: tuple[Answer, ...] = ("left", "same", "right")
LONGEST_NAME = 40


@dataclass(frozen=True)
class Session:
    """What one person was given in one round, in this order."""

    rater: str
    round: int
    tasks: tuple[Task, ...]
    started: str


@dataclass(frozen=True)
class Vote:
    """One person's answers to one pair.

    Args:
        left: which clip of the pair stood on the left. position: its place in the person's order, from 0.
        answers: axis -> which side was better. seconds: from the pair's appearance to the answer. time: ISO 8601.
    """

    rater: str
    round: int
    pair: str
    left: Side
    position: int
    answers: Mapping[str, Answer]
    seconds: float
    time: str

    def value(self, axis: str) -> int:
        """1 for the pair's first clip, 0 for the same, -1 for its second."""
        answer = self.answers[axis]
        return 0 if answer == "same" else 1 if (answer == "left") == (self.left == "first") else -1


class Study:
    """A study's folder. Several threads may use one instance.

    Raises:
        VivaceError: no study there, or damaged files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.design = folder, read_design(folder)
        self._pairs = {pair.id: pair for pair in self.design.pairs}
        self.sessions: dict[tuple[str, int], Session] = {}
        self.votes: dict[tuple[str, int, str], Vote] = {}
        self._lock = threading.Lock()
        try:
            for row in _lines(folder / "sessions.jsonl"):
                tasks = tuple(Task(**task) for task in row.pop("tasks"))
                self._keep(Session(**row, tasks=tasks))
            for row in _lines(folder / "votes.jsonl"):
                vote = Vote(**row)
                self.votes[vote.rater, vote.round, vote.pair] = vote
            second = folder / "second-round.json"
            self.second: tuple[str, ...] | None = (
                tuple(json.loads(second.read_text(encoding="utf-8"))["pairs"]) if second.is_file() else None
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise VivaceError(f"The votes in {folder} are damaged ({error}); restore them from an export.") from error

    @property
    def round(self) -> int:
        """1, or 2 once the second round was opened."""
        return 1 if self.second is None else 2

    def session(self, rater: str) -> Session:
        """What a person is given in this round: what they were given before, or new tasks.

        Raises:
            VivaceError: no name, a name of the first round in the second, nothing left to be judged.
        """
        name = " ".join(rater.split())
        if not name or len(name) > LONGEST_NAME:
            raise VivaceError(f"A rater's name has 1 to {LONGEST_NAME} characters; give a short one.")
        with self._lock:
            found = self.sessions.get((name, self.round))
            if found is not None:
                return found
            if self.round == 2 and (name, 1) in self.sessions:
                raise VivaceError(f"{name} judged in the first round; the second is for new raters.")
            session = Session(name, self.round, tuple(self._tasks(name)), _now())
            self._append("sessions.jsonl", asdict(session))
            self._keep(session)
            return session

    def vote(self, rater: str, pair: str, answers: Mapping[str, str], seconds: float) -> Vote:
        """Take over one person's answers.

        Raises:
            VivaceError: a pair that this person was not given, or has judged, answers that are missing or unknown.
        """
        with self._lock:
            session = self.sessions.get((rater, self.round))
            if session is None:
                raise VivaceError(f"{rater!r} has not begun this round; open the page and give a name first.")
            place = next((n for n, task in enumerate(session.tasks) if task.pair == pair), None)
            if place is None:
                raise VivaceError(f"The pair {pair!r} was not given to {rater}; reload the page.")
            vote = Vote(
                rater, session.round, pair, session.tasks[place].left, place, self._checked(pair, answers),
                round(max(0.0, min(float(seconds), 86400.0)), 2), _now(),
            )  # fmt: skip
            before = self.votes.get((rater, session.round, pair))
            if before is not None:
                if dict(before.answers) == dict(vote.answers):
                    return before  # a page that did not hear our answer and asks again
                raise VivaceError(f"{rater} has judged the pair {pair!r} already; a vote is not changed.")
            self._append("votes.jsonl", asdict(vote))
            self.votes[rater, session.round, pair] = vote
            return vote

    def take(self, rows: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
        """Take over votes of an export, with what their raters were given; all of them or none.

        Votes of a page that was opened without a server do not say which clip stood where, since the page must not
        know: what the rater was given says it.

        Returns:
            Votes that are new, and votes that were there.

        Raises:
            VivaceError: a vote of another study, a damaged one, or one that contradicts a vote that is there.
        """
        fresh: list[Vote] = []
        there = 0
        known = {pair.id for pair in self.design.pairs}
        with self._lock:
            seen = dict(self.votes)
            for number, row in enumerate(rows, 1):
                try:
                    placed = row if "left" in row else {**row, **self._place(row["rater"], row["round"], row["pair"])}
                    if placed["pair"] not in known:
                        raise VivaceError(
                            f"Vote {number} is of another study; import it into the one that it was given for."
                        )
                    vote = Vote(**{**placed, "answers": self._checked(placed["pair"], placed["answers"])})
                except (KeyError, TypeError) as error:
                    raise VivaceError(f"Vote {number} is no vote ({error}); give a file that was exported.") from None
                if vote.pair not in known or vote.left not in ("first", "second") or vote.round not in (1, 2):
                    raise VivaceError(
                        f"Vote {number} is of another study; import it into the one that it was given for."
                    )
                before = seen.get((vote.rater, vote.round, vote.pair))
                if before is not None and (before.left, dict(before.answers)) != (vote.left, dict(vote.answers)):
                    raise VivaceError(
                        f"{vote.rater} has another vote on the pair {vote.pair}; two people share a name: rename one."
                    )
                there += before is not None
                if before is None:
                    fresh.append(vote)
                    seen[vote.rater, vote.round, vote.pair] = vote
            for vote in fresh:
                self._append("votes.jsonl", asdict(vote))
            self.votes = seen
        return len(fresh), there

    def open_second(self, pairs: Iterable[str], reasons: Mapping[str, str]) -> None:
        """Begin the second round with these pairs.

        Raises:
            VivaceError: it was begun before.
        """
        if self.second is not None:
            raise VivaceError(f"The second round of {self.folder} is open already; there is no third.")
        chosen = tuple(pairs)
        with replacing(self.folder / "second-round.json") as path:
            stored = {"opened": _now(), "pairs": chosen, "reasons": dict(reasons)}
            path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        self.second = chosen

    def _tasks(self, rater: str) -> list[Task]:
        open_pairs = {pair.id for pair in self.design.real} if self.second is None else set(self.second)
        votes = Counter(vote.pair for vote in self.votes.values() if vote.round == self.round)
        wanted = [pair for pair in sorted(open_pairs) if votes[pair] < self.design.raters]
        if not wanted:
            raise VivaceError("Every pair of this round has the votes that it needs; nothing is left to be judged.")
        given = [task for session in self.sessions.values() for task in session.tasks]
        return assign(self.design, rater, self.round, pairs=wanted, votes=votes, given=given)

    def _place(self, rater: str, number: int, pair: str) -> dict[str, Any]:
        """Where a pair stood among what a rater was given, and which clip on the left.

        Raises:
            VivaceError: it was not given to them here.
        """
        session = self.sessions.get((rater, number))
        for position, task in enumerate(() if session is None else session.tasks):
            if task.pair == pair:
                return {"left": task.left, "position": position}
        raise VivaceError(
            f"The pair {pair!r} was not given to {rater!r} here; import the votes into the study whose folder they had."
        )

    def _checked(self, pair: str, answers: Mapping[str, str]) -> dict[str, Answer]:
        names = [axis.name for axis in self.design.asked(self._pairs[pair])]
        if set(answers) != set(names):
            raise VivaceError(f"The answers are for other axes than {', '.join(names)}; answer each of them.")
        checked: dict[str, Answer] = {}
        for name in names:
            for answer in ANSWERS:
                if answers[name] == answer:
                    checked[name] = answer
            if name not in checked:
                raise VivaceError(f"{answers[name]!r} is no answer; use {', '.join(ANSWERS)}.")
        return checked

    def _keep(self, session: Session) -> None:
        self.sessions[session.rater, session.round] = session

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; one cut off by a crash is dropped from it, so that the next begins a line."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.decode("utf-8").splitlines()]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

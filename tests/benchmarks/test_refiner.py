"""The refiner's benchmark on a tiny refiner: every method is measured, and sound is never changed."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.refiner import METHODS, SYNC, main, markdown
from tests.tiny import tiny_refiner_pipeline


def test_every_method_is_measured_on_the_same_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tiny_refiner_pipeline()
    made.base.save_pretrained(tmp_path / "alive")
    made.save_pretrained(tmp_path / "refiner", base="alive")
    words = ["--model", str(tmp_path / "refiner"), "--clips", "2", "--split", "val", "--size", "32", "--seconds", "0.8"]
    main([*words, "--output", str(tmp_path / "out" / "figures.json")])
    told = json.loads(capsys.readouterr().out)
    assert told["n"] == 2
    assert set(told["pictures"]) == set(METHODS)
    assert set(told["sync"]) == {*METHODS, "small", "truth"}
    assert all(set(SYNC) == set(each) for each in told["sync"].values())
    psnrs = {
        row: [each[row]["psnr"] for each in json.loads((tmp_path / "out" / "figures.json").read_text())["rows"]]
        for row in ("refined", "bicubic")
    }
    change = told["changes"]["refined - bicubic"]["psnr"]
    assert change["value"] == pytest.approx(np.mean(np.subtract(psnrs["refined"], psnrs["bicubic"])))
    assert change["low"] <= change["value"] <= change["high"] < 0
    for method in METHODS:
        assert {"psnr", "ssim", "restlessness", "flicker"} <= set(told["pictures"][method])
    # A refiner of random weights is worse than a kernel.
    psnr = {method: told["pictures"][method]["psnr"]["value"] for method in METHODS}
    assert psnr["refined"] < psnr["lanczos"]
    stored = json.loads((tmp_path / "out" / "figures.json").read_text())
    table = (tmp_path / "out" / "figures.md").read_text()
    assert table == markdown(stored)
    assert [line.split(" | ")[0][2:] for line in table.splitlines()[2:-2]] == [
        *METHODS,
        "small",
        "truth",
        "refined - bicubic",
        "refined - small",
    ]
    assert f"{psnr['lanczos']:.3f} [" in table
    assert [row["id"] for row in stored["rows"]] == ["seen-0000", "unseen-0000"]

"""The flow of pictures that several metrics ask for in turn, computed once."""

from __future__ import annotations

import numpy as np

from vivace.media import Clip
from vivace.perception.flow import Flow, measure_flow

_latest: list[tuple[np.ndarray, float, Flow]] = []


def flow_of(clip: Clip) -> Flow:
    """As `measure_flow` of the clip's pictures, which must not be changed in place; the latest flow is kept.

    Metrics of sound and picture come one after the other, and calibration changes the sound under the same pictures.
    """
    assert clip.frames is not None
    fps = float(clip.fps)
    for frames, rate, flow in _latest:
        if frames is clip.frames and rate == fps:
            return flow
    flow = measure_flow(clip.frames, fps)
    _latest[:] = [(clip.frames, fps, flow)]
    return flow

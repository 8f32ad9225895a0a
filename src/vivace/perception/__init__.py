"""What can be seen and heard in a clip: detectors that know neither the prompt nor the events that were meant."""

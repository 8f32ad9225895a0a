"""Scores of what was generated: metrics, the benchmark of the world, the codecs' losses, parity with references."""

"""Benchmarks of clips for prompts, or of clips that somebody else has made: what is asked for, and how it is judged."""

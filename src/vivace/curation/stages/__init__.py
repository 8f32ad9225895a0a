"""The stages, each a module with its settings, its default bounds and what it measures."""

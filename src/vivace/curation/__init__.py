"""Curation: from raw footage to captioned, balanced shards.

A stage is a pure function of one clip (`stage`); executors (`local`, `on_ray`) only move jobs; the ledger remembers
every result, so that any run goes on where it was stopped.
"""

"""Released weights to model folders and back, streamed: what is read is mapped, what is written goes out in pieces."""

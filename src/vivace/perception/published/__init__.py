"""Published networks as adapters with one contract: the user names the weights, a missing one is a skipped metric."""

"""Results that a person reads: one HTML file with everything in it, for one run and for several compared."""

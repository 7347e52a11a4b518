"""Values and pure functions: policy, retention, manifest, catalog. No I/O, no clock, no randomness."""

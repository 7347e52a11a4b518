"""Side by side with what one would use instead, on generated data; ``python -m benchmarks``. No test times anything."""

"""``python -m benchmarks``: the PostgreSQL benchmark, its options as in ``--help``."""

from benchmarks.postgres import main

main()

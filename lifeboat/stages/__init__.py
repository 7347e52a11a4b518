"""The work of each stage as plain functions: what a task wraps, and what runs without Prefect."""

"""Verbs, one file per stage. Only here live retries, run names and artifacts; decisions live in lifeboat."""

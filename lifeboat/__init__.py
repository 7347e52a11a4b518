"""The meaning of Lifeboat: what a backup is and how each stage works. Imports no Prefect."""

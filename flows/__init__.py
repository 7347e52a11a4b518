"""Sentences: a flow body reads like the pipeline and raises to be red."""

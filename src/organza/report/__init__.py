"""Pictures, curves, provenance marks and the static page of a run."""

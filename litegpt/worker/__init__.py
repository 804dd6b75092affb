"""The worker process: receives packs, trains them and reports over a pipe."""

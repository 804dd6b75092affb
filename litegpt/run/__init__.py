"""The runner, its workers and the lock on a study."""

"""Studies: the study file, phases, trials and promotion rules."""

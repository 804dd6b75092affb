"""From a study file to trials and packs: no torch, nothing heavy."""

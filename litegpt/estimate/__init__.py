"""Estimates before training: cost, memory, packs and time on a device."""

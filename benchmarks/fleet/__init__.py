"""Fleets: many devices of one file, with labels, a few at a time; results by device and by model of device."""

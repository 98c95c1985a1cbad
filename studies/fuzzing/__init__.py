"""Damaged inputs for every reader: samples, mutations, readers and the campaign."""

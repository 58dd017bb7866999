"""Sweeps: many jobs of one experiment, as a queue that any number of workers empties and nothing can corrupt."""

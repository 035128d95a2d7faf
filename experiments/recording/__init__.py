"""What is measured: rows of blocks, tapes, rents, and the summary of a run."""

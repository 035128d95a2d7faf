"""Studies: each file is a question, the swept settings, the measures and the figure."""

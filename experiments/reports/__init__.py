"""Reports: what came out, in tables, figures and words, in the terminal and on pages."""

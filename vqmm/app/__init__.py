"""The page to try a run by hand."""

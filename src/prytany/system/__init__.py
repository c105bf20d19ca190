"""The composition root: configuration, drivers, kernel."""

"""Clouds: what one must give is in `contract`, each other module gives it."""

"""Cohort: linked, checked and explained radiotherapy data, from an archive and rules."""

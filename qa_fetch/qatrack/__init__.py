"""Beside QATrack+: an optional Django app (``qa_fetch.qatrack.apps.QATrackConfig``), and a client of its REST API.

Nothing is imported here, so that the client runs where no Django is installed.
"""

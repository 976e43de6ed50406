"""Benchmarks: how long qa_fetch takes beside DCMTK, plain pynetdicom, cp and a socket, in one interleaved run.

Run them with ``make bench``, or ``PYTHONPATH=tests python -m benchmarks --help``; nothing here is a timed assertion.

workloads   the objects that are moved, and the check that every one of them arrived whole
race        contestants in turn, and what came of each
servers     Orthanc (with and without Nagle), storescp, filled and emptied
delay       a proxy that adds a round trip
workers     processes that do jobs for the harness: ``ours``, ``plain``, ``limits``, ``double``, ``sender``
retrieving, sending, finding, newest, memory    what is measured
goals       what should be reached
"""

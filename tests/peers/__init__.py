"""Archives to test against: a synthetic course, real servers from Debian packages, and doubles that tell lies.

course     data sets without numpy or pylinac: ``default_course()``, ``plan``, ``session``, ``rt_image``, ``ct_slice``
process    what real servers share: ``Missing`` and ``skip_or_fail`` (CI fails, a developer skips loudly), ``free_port``
orthanc    ``with Orthanc({"QATRACK": ("127.0.0.1", port)}) as peer``
dcmqrscp   ``with Dcmqrscp(...) as peer``; both have ``address``, ``port``, ``pid``, ``log`` and ``know(title, port)``
doubles    ``with ScriptedArchive(datasets, Lies(...)) as peer``, and ``aria(datasets, ...)``
lies       every switch of a double
client     ``store`` and ``echo``, for filling any of these peers fast
pynet      a plain pynetdicom client and receiver, to see what a peer says
"""

"""Archives to test against: a synthetic course, real servers from Debian packages, and doubles that tell lies."""

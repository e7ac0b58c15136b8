"""One file a library, and ``catalogue`` as their table; no library is imported here."""

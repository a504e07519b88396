"""Cases with a known truth: the LIDC database, the phantom as a CT series, the demo case."""

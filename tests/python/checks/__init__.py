"""What the checks share: the program under test, its API, fake receivers, and how results are told."""

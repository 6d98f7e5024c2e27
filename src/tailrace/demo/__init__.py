"""A demo project to look around in: from the command line, or as a job that the first administrator asks for."""

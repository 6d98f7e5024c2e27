"""Reports: files made from a query in the background, kept until they expire, and mailed as a link."""

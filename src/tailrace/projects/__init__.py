"""Projects and their members: who may see and do what."""

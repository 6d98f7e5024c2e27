"""The web page: plain pages that work without scripts, and a few small scripts that keep them live."""

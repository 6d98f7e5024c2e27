"""Photos: pictures of tasks, checked while they arrive, and the smaller renditions that jobs make of them."""

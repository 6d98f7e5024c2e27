"""Three plain pages to begin with: set-up, sign-in, and a first look. They need no JavaScript."""

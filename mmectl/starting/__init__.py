"""A new project: what lies in its folder, and the files that `mmectl init` writes for it."""

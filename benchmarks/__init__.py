"""How fast and how small Holdfast is, measured beside what else one might use; see README.md."""

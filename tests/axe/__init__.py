"""axe-core in headless Chromium; see ``__main__``."""

"""Copy archives: each whole or not at all, checked by sha256, continued where an earlier copy was cut off.

What has an archive gives it, who wants it takes it; ``exchange`` has the two talk when they are on two systems.
"""

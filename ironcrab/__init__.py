"""ironcrab: one append-only log, one loop, same bytes.

Read `ironcrab/loop.py` first: it explains the whole system in one page.
"""

__version__ = "0.1.0"

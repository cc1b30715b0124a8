"""`make backup` and `make restore`: archives of a stack's databases in its volumes for backups.

The image `backup` archives, checks and lists (`toolchain/images/backup`), in the containers that also do so by
schedule: passwords stay in them. What the applications and Redis' own server must do meanwhile is done from here: what
every platform does the same way in `create`, `restore` and `before`, the rest by its `sides.Side`.
"""

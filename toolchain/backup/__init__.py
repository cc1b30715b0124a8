"""`make backup` and `make restore`: archives of a stack's databases in its volume for backups.

The image `backup` archives, checks and lists (`toolchain/images/backup`), in the containers that also do so by
schedule: passwords stay in them. What the applications and Redis' own server must do meanwhile is done from here.
"""

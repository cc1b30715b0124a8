"""The database schema: numbered SQL files and the command that applies them."""

"""The patterns that systems are composed of. Each takes a scope and works on every platform."""

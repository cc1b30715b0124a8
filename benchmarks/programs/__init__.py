"""Pulumi programs that are measured beside the project's own."""

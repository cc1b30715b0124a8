"""Kubernetes: pods behind Services, data by operators, the edge by the Gateway API."""

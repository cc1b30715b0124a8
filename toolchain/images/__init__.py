"""The container images of the Docker platform: pulled where a registry answers, else built from Debian packages."""

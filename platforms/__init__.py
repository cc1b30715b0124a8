"""How systems are deployed: one package per kind of place, all behind `platforms.protocols`."""

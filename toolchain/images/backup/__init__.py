"""The program of the image `backup`: archives of one data engine, by schedule or at once."""

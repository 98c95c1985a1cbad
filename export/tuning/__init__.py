"""Changes of a network that let it compute in integers: what 8 bits lose is moved to where it costs less."""

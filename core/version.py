"""The version of pocketvae, defined in one place."""

VERSION = "0.1.0"

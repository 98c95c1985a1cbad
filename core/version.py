"""The version of pocketvae, in one place."""

VERSION = "0.1.0"

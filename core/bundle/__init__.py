"""Documents on disk: runs, bundles and the metadata of exported files."""

"""What lies on disk: runs, bundles and what exported files say of themselves."""

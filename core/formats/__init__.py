"""File formats: exported files, read and edited without a runtime."""

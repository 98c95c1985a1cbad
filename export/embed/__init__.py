"""Metadata and golden pairs inside exported files, and C++ sources for firmware."""

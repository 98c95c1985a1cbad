"""Building blocks of reports: pages, charts and tables."""

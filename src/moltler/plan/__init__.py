"""From SELECT text to a plan of scans."""

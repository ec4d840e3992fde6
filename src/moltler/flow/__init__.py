"""What travels between the floors: frozen requests down, pages and results up."""

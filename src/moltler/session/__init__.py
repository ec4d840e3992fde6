"""Text to statements to one use case each."""

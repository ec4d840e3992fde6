"""Text to frozen statements: tokens, tree, parser and formatter."""

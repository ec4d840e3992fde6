"""Best practices as rules: what a connector does that works today and hurts tomorrow."""

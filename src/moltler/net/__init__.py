"""The one way out: policy, resolver, limits and the HTTP client."""

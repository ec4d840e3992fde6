"""Rows moved from entities to tables: incremental, exact and safe against crashes."""

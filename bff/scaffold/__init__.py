"""Writes what `bff new` creates: an application's folder, and a source or a variant in one."""

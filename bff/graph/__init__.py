"""The tools to write a schema with: variants and tags, loaded fields, loaders, connections, rules, SDL."""

"""What a schema is written with: variants and tags, loaded fields, loaders, connections, rules, SDL."""

"""The rooms under the features: hashing, keys, settings, database, schema, command line."""

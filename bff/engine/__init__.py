"""From a document to an answer. It knows GraphQL and no REST."""

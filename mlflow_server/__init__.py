"""What the MLflow image adds to MLflow: proof of identity for the database, and the schema's upgrade."""

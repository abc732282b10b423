"""How what was found is written: for people as tables, for machines as JSON, CSV or Parquet."""

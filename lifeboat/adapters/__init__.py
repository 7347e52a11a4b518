"""One file per outside thing: PostgreSQL, SFTP, age and zstd. May import the model, nothing above."""

"""What every tier of the application shares: configuration, logs, metrics, the job store and the task queue."""

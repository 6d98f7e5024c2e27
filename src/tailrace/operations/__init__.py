"""What an operator needs: health, metrics, the API's own page, jobs, live streams and the log."""

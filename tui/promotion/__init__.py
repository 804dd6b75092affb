"""The promotion dialog, which the Leaderboard and the Grid tab open."""

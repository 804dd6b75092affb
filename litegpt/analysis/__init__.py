"""What results say: leaderboards, curves, importance, text, reports, and the results of others brought in."""

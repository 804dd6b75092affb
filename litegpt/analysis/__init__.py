"""Analysis of results: leaderboards, curves, importance, samples, reports, import and export."""
